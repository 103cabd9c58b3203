// Command policycases runs files of policy cases and says which of them package policy decides otherwise:
//
//	go run ./examples/policycases policy/testdata/*.jsonl
//
// Every difference is one line; the last line is "N passed, N failed". The exit status is 1 when one failed and 2 when a
// file cannot be read. Package policy/policytest describes the files.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/fardel-io/fardel/policy/policytest"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	status := run(os.Args[1:], out, os.Stderr)
	if err := out.Flush(); err != nil {
		status = 2
	}
	os.Exit(status)
}

func run(files []string, out, complaints io.Writer) int {
	if len(files) == 0 {
		fmt.Fprintln(complaints, "usage: policycases FILE…")
		return 2
	}
	passed, failed, status := 0, 0, 0
	for _, name := range files {
		err := runFile(name, func(r policytest.Result) {
			if r.Passed() {
				passed++
				return
			}
			failed++
			fmt.Fprintf(out, "%s: %s\n", name, r)
		})
		if err != nil {
			fmt.Fprintf(complaints, "%s: %v\n", name, err)
			status = 2
		}
	}
	if failed > 0 && status == 0 {
		status = 1
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	return status
}

func runFile(name string, report func(policytest.Result)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return policytest.Run(file, report)
}
