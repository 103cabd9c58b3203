package linux

import (
	"os/exec"
	"testing"
)

func TestSmoke(t *testing.T) {
	f := newFabric(t, "smoke")
	s := testVPC(t, "smoke", "172.31.0.0/16")
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	a, err := f.Attach(t.Context(), testENI(s, 0))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Attach(t.Context(), testENI(s, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", a)
	r := f.router(s.VPCs[0].ID)
	for _, cmd := range [][]string{
		{"nsenter", "--net=" + a.NetNS, "ip", "addr"}, {"nsenter", "--net=" + a.NetNS, "ip", "route"},
		{"nsenter", "--net=" + f.cfg.namespacePath(r.vpc), "ip", "route"}, {"nsenter", "--net=" + f.cfg.namespacePath(r.vpc), "nft", "list", "ruleset"},
		{"nft", "list", "ruleset"}, {"ip", "addr"}, {"ip", "route"},
		{"nsenter", "--net=" + a.NetNS, "ping", "-c1", "-W1", b.Address.Addr().String()},
		{"ping", "-c1", "-W1", b.Address.Addr().String()},
	} {
		out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
		t.Logf("%v %v\n%s", cmd, err, out)
	}
}
