package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// inContainer is what this program does inside the task.
func inContainer(ctx context.Context, args []string) error {
	switch {
	case args[0] == "web":
		return web(ctx)
	case args[0] == "client" && len(args) == 2:
		return client(ctx, args[1])
	}
	return fmt.Errorf("usage: quickstart [-dir DIR]")
}

// web answers every request with what it sees of the task it is in.
func web(ctx context.Context) error {
	srv := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, os.Getenv("GREETING"))
		host, _ := os.Hostname()
		fmt.Fprintf(w, "hostname %s, process %d\n", host, os.Getpid())
		for _, line := range addresses() {
			fmt.Fprintln(w, line)
		}
	})}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Shutdown(context.Background()) })
	defer stopped()
	fmt.Println("listening on", srv.Addr)
	err := srv.ListenAndServe()
	if ctx.Err() != nil {
		fmt.Println("asked to stop")
		return nil
	}
	return err
}

func addresses() []string {
	var lines []string
	links, _ := net.Interfaces()
	for _, l := range links {
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			lines = append(lines, fmt.Sprintf("interface %s has %s", l.Name, a))
		}
	}
	return lines
}

// client asks web until it answers.
func client(ctx context.Context, url string) error {
	for {
		resp, err := http.Get(url)
		if err == nil {
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			fmt.Println(strings.TrimSpace(string(body)))
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
