package logs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// The modes of a log configuration.
const (
	ModeBlocking    = "blocking"
	ModeNonBlocking = "non-blocking" // ECS's default since June 2025
)

// optionsOf are the options that a driver takes. Those of awsfirelens are the router's output plugin's, whatever it has.
var optionsOf = map[task.LogDriver][]string{
	task.LogDriverAWSLogs: {
		"awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "awslogs-datetime-format",
		"awslogs-multiline-pattern", "mode", "max-buffer-size",
	},
	task.LogDriverJSONFile: {
		"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size",
	},
	task.LogDriverNone: nil,
}

// Problem is an option, "" for the driver itself, and what is wrong with it.
type Problem struct{ Option, Reason string }

// Check returns what is wrong with a container's log configuration, in ECS's words where it has some: a driver that is not
// here, options that it does not take, and values that it cannot read. What is required is task.Validate's to say.
func Check(c *task.LogConfiguration) []Problem {
	var problems []Problem
	bad := func(option, format string, args ...any) {
		problems = append(problems, Problem{option, fmt.Sprintf(format, args...)})
	}
	if c.LogDriver == task.LogDriverAWSFirelens {
		return checkValues(c, bad, &problems)
	}
	allowed, known := optionsOf[c.LogDriver]
	if !known {
		bad("", "not supported: %s", c.LogDriver)
		return problems
	}
	var others []string
	for name := range c.Options {
		if !slices.Contains(allowed, name) {
			others = append(others, name)
		}
	}
	for _, s := range c.SecretOptions {
		if !slices.Contains(allowed, s.Name) {
			others = append(others, s.Name)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		bad("", "Log driver %s disallows options: %s", c.LogDriver, strings.Join(others, ", "))
	}
	return checkValues(c, bad, &problems)
}

// checkValues reads the values of options. Of the options of awsfirelens only the log driver's own have a meaning here.
func checkValues(c *task.LogConfiguration, bad func(option, format string, args ...any), problems *[]Problem) []Problem {
	for name, parse := range parsers {
		v, ok := c.Options[name]
		if !ok || c.LogDriver == task.LogDriverAWSFirelens && name != "mode" && name != "max-buffer-size" {
			continue
		}
		if err := parse(v); err != nil {
			bad(name, "%q: %v", v, err)
		}
	}
	slices.SortFunc(*problems, func(a, b Problem) int { return strings.Compare(a.Option, b.Option) })
	return *problems
}

// CheckOption says what is wrong with the value of an option, nil for nothing. Its text may have the value in it.
func CheckOption(name, value string) error {
	if parse := parsers[name]; parse != nil {
		return parse(value)
	}
	return nil
}

// parsers read the options that can be wrong.
var parsers = map[string]func(string) error{
	"max-buffer-size":           func(v string) error { _, err := parseSize(v); return err },
	"max-size":                  func(v string) error { _, err := parseSize(v); return err },
	"max-file":                  func(v string) error { _, err := parseCount(v); return err },
	"compress":                  func(v string) error { _, err := parseBool(v); return err },
	"awslogs-create-group":      func(v string) error { _, err := parseBool(v); return err },
	"labels-regex":              func(v string) error { _, err := regexp.Compile(v); return err },
	"env-regex":                 func(v string) error { _, err := regexp.Compile(v); return err },
	"tag":                       func(v string) error { _, err := parseTag(v); return err },
	"awslogs-multiline-pattern": func(v string) error { _, err := regexp.Compile(v); return err },
	"awslogs-datetime-format":   func(v string) error { _, err := datetimePattern(v); return err },
	"mode": func(v string) error {
		if v != ModeBlocking && v != ModeNonBlocking {
			return fmt.Errorf("want %s or %s", ModeBlocking, ModeNonBlocking)
		}
		return nil
	},
}

// RuntimeOptions is how the runtime keeps the output of a container: with defaultMode where the options name none, "" for
// ECS's, and limit bytes, 0 for runtime.DefaultLogLimit, or max-buffer-size if that is more. Nil options are of a
// container without log configuration, whose output is only kept.
func RuntimeOptions(c *task.LogConfiguration, defaultMode string, limit int64) runtime.LogOptions {
	o := runtime.LogOptions{Limit: limit}
	if c == nil || c.LogDriver == task.LogDriverNone {
		return o
	}
	if mode := c.Options["mode"]; mode != "" {
		defaultMode = mode
	}
	o.Blocking = defaultMode == ModeBlocking
	if size, err := parseSize(c.Options["max-buffer-size"]); err == nil && !o.Blocking {
		o.Limit = max(size, limit)
		if limit == 0 {
			o.Limit = max(size, runtime.DefaultLogLimit)
		}
	}
	o.Streams = c.LogDriver == task.LogDriverJSONFile || c.LogDriver == task.LogDriverAWSFirelens
	return o
}

// parseSize reads Docker's sizes, "10m": bytes, or with k, m or g multiples of 1024.
func parseSize(s string) (int64, error) {
	unit := int64(1)
	digits := strings.ToLower(strings.TrimSpace(s))
	digits = strings.TrimSuffix(digits, "b")
	for i, suffix := range []string{"k", "m", "g"} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > (1<<50)/unit {
		return 0, fmt.Errorf("want a size such as 10m")
	}
	return n * unit, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("want a number from 1 to 1000")
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, fmt.Errorf("want true or false")
	}
	return s == "true", nil
}
