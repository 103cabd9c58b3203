package guest

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// catch hands the signal to whatever statement the program waits in. Its goroutine ends with the program.
func catch(ctx context.Context, r *program, rest string) (int, bool) {
	name, number, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(number)
	if err != nil || signals[name] == 0 {
		return UnknownStatement, true
	}
	arrived := r.Catch(signals[name])
	go func() {
		select {
		case <-arrived:
		case <-ctx.Done():
			return
		}
		select {
		case r.caught <- caught{name: name, code: code}:
		case <-ctx.Done():
		}
	}()
	return 0, false
}

// forward turns signals of the operating system into those of Process.Catch, until the process ends.
func forward(arrived <-chan os.Signal) <-chan struct{} {
	out := make(chan struct{}, cap(arrived))
	go func() {
		for range arrived {
			out <- struct{}{}
		}
	}()
	return out
}

// actAsDefault gives process 1 of a PID namespace, which the kernel spares the default action of signals, that action.
func actAsDefault() {
	arrived := make(chan os.Signal, 1)
	for _, n := range signals {
		signal.Notify(arrived, syscall.Signal(n))
	}
	go func() {
		if n, ok := (<-arrived).(syscall.Signal); ok {
			os.Exit(128 + int(n))
		}
	}()
}
