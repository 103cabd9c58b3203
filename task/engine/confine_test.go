package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

func TestConfinement(t *testing.T) {
	all := Confinement{NoNewPrivileges: true, DropNetRaw: true}
	for _, tt := range []struct {
		name      string
		c         Confinement
		spec      runtime.ContainerSpec
		add, drop []string
		noNew     bool
	}{
		{name: "none", spec: runtime.ContainerSpec{CapAdd: []string{"SYS_PTRACE"}}, add: []string{"SYS_PTRACE"}},
		{name: "none, and the definition's", spec: runtime.ContainerSpec{NoNewPrivileges: true}, noNew: true},
		{name: "the default", c: all, drop: []string{"NET_RAW"}, noNew: true},
		{name: "raw sockets alone", c: Confinement{DropNetRaw: true}, drop: []string{"NET_RAW"}},
		{name: "dropped already", c: all, spec: runtime.ContainerSpec{CapDrop: []string{"net_raw"}}, drop: []string{"net_raw"}, noNew: true},
		{name: "everything dropped", c: all, spec: runtime.ContainerSpec{CapAdd: []string{"KILL"}, CapDrop: []string{"ALL"}}, add: []string{"KILL"}, drop: []string{"ALL"}, noNew: true},
		{name: "everything added", c: all, spec: runtime.ContainerSpec{CapAdd: []string{"ALL"}}, add: []string{"ALL"}, drop: []string{"NET_RAW"}, noNew: true},
		{name: "both", c: all, spec: runtime.ContainerSpec{CapAdd: []string{"ALL"}, CapDrop: []string{"ALL"}}, add: []string{"ALL"}, drop: []string{"ALL", "NET_RAW"}, noNew: true},
		{name: "added, which Run refuses", c: all, spec: runtime.ContainerSpec{CapAdd: []string{"CAP_NET_RAW", "KILL"}}, add: []string{"KILL"}, drop: []string{"NET_RAW"}, noNew: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.spec
			tt.c.apply(&s)
			if s.NoNewPrivileges != tt.noNew {
				t.Errorf("no new privileges: %t", s.NoNewPrivileges)
			}
			if diff := cmp.Diff([2][]string{tt.add, tt.drop}, [2][]string{s.CapAdd, s.CapDrop}); diff != "" && len(s.CapAdd)+len(tt.add)+len(s.CapDrop)+len(tt.drop) > 0 {
				t.Error(diff)
			}
		})
	}
}

func TestConfinementRefuses(t *testing.T) {
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "a", LinuxParameters: &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"KILL", "NET_RAW"}}}},
		{Name: "b", Privileged: true},
		{Name: "c", LinuxParameters: &task.LinuxParameters{Capabilities: &task.KernelCapabilities{Add: []string{"ALL"}}}},
		{Name: "d"},
	}}
	if got := (Confinement{NoNewPrivileges: true}).Unsupported(def); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	var paths []string
	for _, p := range (Confinement{DropNetRaw: true}).Unsupported(def) {
		paths = append(paths, p.Path)
	}
	if diff := cmp.Diff([]string{"containerDefinitions[0].linuxParameters.capabilities.add[1]", "containerDefinitions[1].privileged"}, paths); diff != "" {
		t.Error(diff)
	}
}

func TestSecurityOptions(t *testing.T) {
	for _, tt := range []struct {
		options []string
		profile string
		noNew   bool
		refused int
	}{
		{options: nil},
		{options: []string{"no-new-privileges", "apparmor:mine"}, profile: "mine", noNew: true},
		{options: []string{"apparmor:unconfined", "label:type:x_t"}, profile: "unconfined", refused: 1},
		{options: []string{"no-new-privileges:false"}, refused: 1},
	} {
		var u unsupported
		u.container("", &task.ContainerDefinition{DockerSecurityOptions: tt.options})
		profile, _ := appArmorProfile(tt.options)
		if profile != tt.profile || noNewPrivileges(tt.options) != tt.noNew || len(u) != tt.refused {
			t.Errorf("%q: profile %q, no new privileges %t, refused %v", tt.options, profile, noNewPrivileges(tt.options), u)
		}
	}
}
