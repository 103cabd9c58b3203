package leaktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/fardel-io/fardel/internal/lane"
)

// namespaceCommands show all of a network namespace, each line a thing.
var namespaceCommands = [][]string{
	{"ip", "-o", "link", "show"},
	{"ip", "-o", "addr", "show"},
	{"ip", "rule", "show"},
	{"ip", "route", "show", "table", "all"},
	{"nft", "list", "ruleset"},
}

// moving is what changes by itself in the output of those: interface numbers of peers, states, life times, counters.
var moving = regexp.MustCompile(`packets \d+ bytes \d+|expires [0-9a-z]+|valid_lft \S+|preferred_lft \S+|state [A-Z]+|<[A-Z_,]+>|qdisc \S+|qlen \d+|linkdown`)

// tables lists the lines of the nftables tables of this network namespace whose name has a mark.
func (s *Snapshot) tables(all set) error {
	if os.Geteuid() != 0 {
		return nil // tables are shown to root only, and made by it
	}
	lane.Command(s.t, "nft")
	text, err := output("nft", "list", "ruleset")
	if err != nil {
		return err
	}
	for _, line := range tableLines(text, s.marked) {
		all.add("nftables", line)
	}
	return nil
}

// tableLines returns the lines of the tables that are chosen by their first line, each with the chain, set or map that
// it is in.
func tableLines(text string, choose func(string) bool) []string {
	var lines, path []string
	for line := range strings.Lines(text) {
		line = normal(line)
		switch {
		case line == "":
		case line == "}":
			path = path[:max(0, len(path)-1)]
		default:
			if (len(path) == 0 && choose(line)) || (len(path) > 0 && choose(path[0])) {
				lines = append(lines, strings.Join(append(path, line), " "))
			}
			// A set's elements may open a brace and close it on a later line.
			if strings.Count(line, "{") > strings.Count(line, "}") {
				path = append(path, strings.TrimSuffix(line, " {"))
			} else if strings.Count(line, "{") < strings.Count(line, "}") {
				path = path[:max(0, len(path)-1)]
			}
		}
	}
	return lines
}

func normal(line string) string {
	return strings.Join(strings.Fields(moving.ReplaceAllString(line, "")), " ")
}

// namespaces lists what is inside the network namespaces that are mounted at a path with a mark.
func (s *Snapshot) namespaces(all set) error {
	for _, m := range s.mountpoints() {
		if m.kind != "nsfs" {
			continue
		}
		lane.Command(s.t, "nsenter")
		for _, command := range namespaceCommands {
			lane.Command(s.t, command[0])
			text, err := output(append([]string{"nsenter", "--net=" + m.path}, command...)...)
			if _, gone := os.Stat(m.path); gone != nil || isOther(err) {
				break // the namespace went meanwhile, or is one of another kind
			}
			if err != nil {
				return err
			}
			for _, line := range linesOf(command, text) {
				all.add("in "+m.path, command[0]+": "+line)
			}
		}
	}
	return nil
}

func linesOf(command []string, text string) (lines []string) {
	if command[0] == "nft" {
		return tableLines(text, func(string) bool { return true })
	}
	for line := range strings.Lines(text) {
		if line = normal(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// isOther reports whether nsenter refused a mount that is no network namespace.
func isOther(err error) bool {
	return err != nil && strings.Contains(err.Error(), "nsenter: reassociate to namespace")
}

func output(command ...string) (string, error) {
	out, err := exec.Command(command[0], command[1:]...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, exit.Stderr)
	}
	return string(out), err
}
