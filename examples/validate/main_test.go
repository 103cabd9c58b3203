package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	web = `{"family":"web","networkMode":"awsvpc","cpu":"256","memory":"512","requiresCompatibilities":["FARGATE"],
		"containerDefinitions":[{"name":"app","image":"nginx"}]}`
	plain   = `{"family":"plain","containerDefinitions":[{"name":"app","image":"nginx","memory":64,"comand":["x"]}]}`
	missing = `{"family":"missing","networkMode":"awsvpc","containerDefinitions":[{"name":"app"}]}`
	broken  = `{"family":"broken","containerDefinitions":[{"name":1}]}`
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"web": web, "plain": plain, "missing": missing, "broken": broken} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const usage = "usage: validate [-for FARGATE|EC2|EXTERNAL|MANAGED_INSTANCES] FILE…\n"
	for _, tt := range []struct {
		args   string // names of files are in dir
		status int
		stdout string
		stderr string
	}{
		{"web", 0, "web: valid for FARGATE\n", ""},
		{"-for EC2 web", 0, "web: valid for EC2\n", ""},
		{"-for external web", 1, "web: networkMode: awsvpc is not supported on external instances: want bridge, host or none\n", ""},
		{"plain", 0, "plain: warning: containerDefinitions[0].comand: ECS knows no such member; did you mean \"command\"?\nplain: valid for EC2, EXTERNAL\n", ""},
		{"web missing", 1, "web: valid for FARGATE\n" +
			"missing: containerDefinitions[0].image: Container.image should not be null or empty.\n" +
			"missing: containerDefinitions[0].memory: Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.\n", ""},
		{"broken nowhere", 1, "broken: task: containerDefinitions[0].name: must be a string, not 1 (line 1, column 52)\nnowhere: open nowhere: no such file or directory\n", ""},
		{"", 2, "", usage},
		{"-for LAMBDA web", 2, "", "invalid value \"LAMBDA\" for flag -for: not a launch type\n" + usage},
		{"-h", 0, "", usage},
	} {
		args := strings.Fields(tt.args)
		for i, a := range args {
			if a == strings.ToLower(a) && a[0] != '-' && a != "external" {
				args[i] = filepath.Join(dir, a)
			}
		}
		var stdout, stderr bytes.Buffer
		status := run(args, &stdout, &stderr)
		if status != tt.status {
			t.Errorf("validate %s: got status %d, want %d", tt.args, status, tt.status)
		}
		got := strings.ReplaceAll(stdout.String(), dir+string(filepath.Separator), "")
		if diff := cmp.Diff(tt.stdout, got); diff != "" {
			t.Errorf("validate %s: stdout (-want +got):\n%s", tt.args, diff)
		}
		if diff := cmp.Diff(tt.stderr, stderr.String()); diff != "" {
			t.Errorf("validate %s: stderr (-want +got):\n%s", tt.args, diff)
		}
	}
}
