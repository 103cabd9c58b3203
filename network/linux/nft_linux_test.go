package linux

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/google/go-cmp/cmp"
)

// TestNFTText checks that what goes through netlink is what the text says: both are loaded and listed by nft.
func TestNFTText(t *testing.T) {
	lane.Root(t)
	nft := lane.Command(t, "nft")
	nsenter := lane.Command(t, "nsenter")
	dir := t.TempDir()
	inNS := func(path string, stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(nsenter, append([]string{"--net=" + path, nft}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("nft %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for name, r := range map[string][]ruleset{"router": renderRouter(renderState(t)), "host": renderHost(),
		"connections": connectionRulesets(ConnectionLimits{}.withDefaults(0))} {
		written, link := filepath.Join(dir, name+"-text"), filepath.Join(dir, name+"-netlink")
		for _, path := range []string{written, link} {
			ns, err := makeNamespace(path, nil)
			must(t, err)
			t.Cleanup(func() { ns.close(); must(t, clearMountPoint(path)) })
			if path == link {
				tables := newTables(ns.file)
				defer tables.close()
				must(t, tables.replace(r...))
				must(t, tables.replace(r...)) // whole, whatever was there
			}
		}
		// nft has no words for a mark that is the group of an interface, and shows it all the same.
		marked := strings.ReplaceAll(text(r), " meta mark set iifgroup", "")
		inNS(written, marked, "-f", "-")
		want, got := inNS(written, "", "-s", "list", "ruleset"), inNS(link, "", "-s", "list", "ruleset")
		// nft keeps the byte order of a map's data beside it; without, it shows the numbers the wrong way round.
		for _, c := range []class{{ID: 1}, {ID: 2}} {
			got = strings.ReplaceAll(got, map[uint32]string{1: "0x01000000", 2: "0x02000000"}[c.ID], map[uint32]string{1: "0x00000001", 2: "0x00000002"}[c.ID])
		}
		if n := strings.Count(got, " meta mark set iifgroup"); n != strings.Count(text(r), " meta mark set iifgroup") {
			t.Errorf("%s: %d rules set the mark to a group", name, n)
		}
		got = strings.ReplaceAll(got, " meta mark set iifgroup", "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-text +netlink):\n%s", name, diff)
		}
	}
}
