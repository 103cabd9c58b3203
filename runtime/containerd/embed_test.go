package containerd

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// busyboxImage is an archive as docker save makes it, of an image with nothing but busybox.
func busyboxImage(t testing.TB, ref string) []byte {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		lane.Missing(t, "/bin/busybox of busybox-static")
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	put := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/", "proc/", "sys/", "dev/"} {
		put(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	put(tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	for _, name := range strings.Fields("sh true false echo cat sleep id env ls kill ps touch mkdir hostname dd head tail wc stty sync grep test nproc") {
		put(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	put(tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n"))
	put(tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Cmd": []string{"/bin/sh"}, "Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer.Bytes())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := sum(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": name, "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w = tar.NewWriter(&archive)
	put(tar.Header{Name: "layer.tar", Mode: 0o644}, layer.Bytes())
	put(tar.Header{Name: name, Mode: 0o644}, config)
	put(tar.Header{Name: "manifest.json", Mode: 0o644}, manifest)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func importImage(t testing.TB, d *Driver, ref string) string {
	t.Helper()
	ctx := d.context(t.Context())
	list, err := d.client.Import(ctx, bytes.NewReader(busyboxImage(t, ref)))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.NewImage(d.client, list[0]).Unpack(ctx, d.snapshotter); err != nil {
		t.Fatal(err)
	}
	return list[0].Name
}

func TestSmoke(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	d, err := Embed(t.Context(), Config{Owner: "smoke", Dir: dir, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	image := importImage(t, d, "docker.io/library/busybox:test")
	for i := range 6 {
		id := fmt.Sprintf("sb%d", i)
		t0 := time.Now()
		if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: id, Size: task.Size{CPU: 256, Memory: 64}}); err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		log := filepath.Join(dir, id+".log")
		if err := d.CreateContainer(t.Context(), runtime.ContainerSpec{ID: id + "-c", SandboxID: id, Image: image, Command: []string{"sh", "-c", "echo hello; id; exit 3"}, Log: log}); err != nil {
			t.Fatal(err)
		}
		t2 := time.Now()
		if err := d.Start(t.Context(), id+"-c"); err != nil {
			t.Fatal(err)
		}
		t3 := time.Now()
		exit, err := d.Wait(t.Context(), id+"-c")
		if err != nil {
			t.Fatal(err)
		}
		t4 := time.Now()
		out, _ := os.ReadFile(log)
		if err := d.RemoveContainer(t.Context(), id+"-c"); err != nil {
			t.Fatal(err)
		}
		if err := d.RemoveSandbox(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		t5 := time.Now()
		t.Logf("sandbox %v create %v start %v = %v; wait %v remove %v; %v %q", t1.Sub(t0), t2.Sub(t1), t3.Sub(t2), t3.Sub(t0), t4.Sub(t3), t5.Sub(t4), exit, out)
	}
}
