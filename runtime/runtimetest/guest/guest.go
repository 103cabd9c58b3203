package guest

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// UnknownStatement is the exit code of a program with a statement that is none.
const UnknownStatement = 64

// Process is what the program sees of the world.
type Process struct {
	Args   []string // with the program's name first
	Env    []string // "KEY=value"
	Dir    string   // working directory
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Catch  func(signal int) <-chan struct{}       // replaces the signal's effect; receives each that arrives
	Ignore func(signal int)                       // as the name says
	Size   func() (columns, rows uint16, ok bool) // of the terminal, if there is one
	Alloc  func(mib int) error                    // takes memory until the end
	Spin   func(ctx context.Context)              // uses a processor until ctx is done

	// Kernel holds the verbs that need a kernel, each a function from the rest of the statement to a line of output.
	Kernel map[string]func(rest string) (string, error)
}

// The signals that the language knows by name.
var signals = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "TERM": 15}

const sigWinch = 28

// program is a running guest.
type program struct {
	Process
	caught chan caught
	resize <-chan struct{}
}

// caught is a signal that ends the program.
type caught struct {
	name string
	code int
}

// Run executes the statements in p.Args[1:] and returns the exit code. It ends early when ctx is done.
func Run(ctx context.Context, p Process) int {
	r := &program{Process: p, caught: make(chan caught)}
	if _, _, ok := p.Size(); ok {
		r.resize = p.Catch(sigWinch)
	}
	for _, statement := range p.Args[1:] {
		verb, rest, _ := strings.Cut(statement, " ")
		if verb == "exit" {
			code, err := strconv.Atoi(rest)
			if err != nil {
				return UnknownStatement
			}
			return code
		}
		if kernel, ok := p.Kernel[verb]; ok {
			r.answer(verb)(kernel(rest))
			continue
		}
		do, ok := verbs[verb]
		if !ok {
			fmt.Fprintf(p.Stderr, "unknown statement %q\n", statement)
			return UnknownStatement
		}
		if code, ended := do(ctx, r, rest); ended {
			return code
		}
	}
	return 0
}

// answer writes the outcome of a statement.
func (r *program) answer(verb string) func(line string, err error) {
	return func(line string, err error) {
		if err != nil {
			line = verb + ": " + err.Error()
		}
		if line != "" {
			fmt.Fprintln(r.Stdout, line)
		}
	}
}

// A verb reports whether it ended the program, and with which code.
type verb func(ctx context.Context, r *program, rest string) (code int, ended bool)

var verbs = map[string]verb{
	"out": func(_ context.Context, r *program, rest string) (int, bool) {
		fmt.Fprintln(r.Stdout, rest)
		return 0, false
	},
	"err": func(_ context.Context, r *program, rest string) (int, bool) {
		fmt.Fprintln(r.Stderr, rest)
		return 0, false
	},
	"args": func(_ context.Context, r *program, _ string) (int, bool) {
		fmt.Fprintln(r.Stdout, strings.Join(r.Args, "\n"))
		return 0, false
	},
	"env": func(_ context.Context, r *program, rest string) (int, bool) {
		fmt.Fprintln(r.Stdout, rest+"="+lookup(r.Env, rest))
		return 0, false
	},
	"dir": func(_ context.Context, r *program, _ string) (int, bool) {
		fmt.Fprintln(r.Stdout, r.Dir)
		return 0, false
	},
	"flood": func(_ context.Context, r *program, rest string) (int, bool) {
		r.answer("flood")("", flood(r.Stdout, rest))
		return 0, false
	},
	"cat": func(_ context.Context, r *program, _ string) (int, bool) {
		_, err := io.Copy(r.Stdout, r.Stdin)
		r.answer("cat")("", err)
		return 0, false
	},
	"hang": func(ctx context.Context, r *program, _ string) (int, bool) { return r.pause(ctx, nil) },
	"sleep": func(ctx context.Context, r *program, rest string) (int, bool) {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return UnknownStatement, true
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		return r.pause(ctx, timer.C)
	},
	"ignore": func(_ context.Context, r *program, rest string) (int, bool) {
		r.Ignore(signals[rest])
		return 0, false
	},
	"catch": catch,
	"size": func(_ context.Context, r *program, _ string) (int, bool) {
		r.printSize()
		return 0, false
	},
	"resized": func(ctx context.Context, r *program, _ string) (int, bool) {
		select {
		case <-r.resize:
			r.printSize()
			return 0, false
		case <-ctx.Done():
			return 0, true
		}
	},
	"alloc": func(_ context.Context, r *program, rest string) (int, bool) {
		mib, err := strconv.Atoi(rest)
		if err == nil {
			err = r.Alloc(mib)
		}
		r.answer("alloc")("", err)
		return 0, false
	},
	"spin": func(ctx context.Context, r *program, _ string) (int, bool) {
		r.Spin(ctx)
		return 0, true
	},
}

// pause waits for a caught signal, for the timer if there is one, or for the end.
func (r *program) pause(ctx context.Context, timer <-chan time.Time) (int, bool) {
	select {
	case c := <-r.caught:
		fmt.Fprintln(r.Stdout, "caught "+c.name)
		return c.code, true
	case <-timer:
		return 0, false
	case <-ctx.Done():
		return 0, true
	}
}

func (r *program) printSize() {
	columns, rows, ok := r.Size()
	if !ok {
		fmt.Fprintln(r.Stdout, "none")
		return
	}
	fmt.Fprintf(r.Stdout, "%dx%d\n", columns, rows)
}

func lookup(env []string, key string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, key+"="); ok {
			return value
		}
	}
	return "unset"
}

func flood(w io.Writer, size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	line := strings.Repeat("0123456789abcde", 5)[:63] + "\n"
	block := strings.Repeat(line, 64)
	for ; n > 0 && err == nil; n -= len(block) {
		_, err = io.WriteString(w, block[:min(n, len(block))])
	}
	return err
}
