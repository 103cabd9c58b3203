package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
)

// imageRef is how every contestant knows the image.
const imageRef = "docker.io/library/fardel-launch:latest"

// applets are the names under which busybox stands in the image.
var applets = []string{"true", "sleep"}

// writeImage writes an image with busybox in it as an archive of docker save, which is the one format that all
// contestants import.
func writeImage(path, busybox string) error {
	layer, err := writeLayer(busybox)
	if err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(layer))
	config, err := json.Marshal(map[string]any{
		"architecture": goruntime.GOARCH, "os": "linux",
		"config": map[string]any{"Cmd": []string{"/bin/true"}, "Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{imageRef}, "Layers": []string{digest + "/layer.tar"}},
	})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	for _, f := range []struct {
		name    string
		content []byte
	}{{configName, config}, {digest + "/layer.tar", layer}, {"manifest.json", manifest}} {
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content))}); err != nil {
			return err
		}
		if _, err := tw.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(tw.Close(), os.WriteFile(path, archive.Bytes(), 0o600))
}

func writeLayer(busybox string) ([]byte, error) {
	content, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	headers := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755},
		{Name: "bin/busybox", Mode: 0o755, Size: int64(len(content))},
	}
	for _, a := range applets {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + a, Linkname: "busybox", Mode: 0o777})
	}
	for _, h := range headers {
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if h.Size > 0 {
			if _, err := tw.Write(content); err != nil {
				return nil, err
			}
		}
	}
	err = tw.Close()
	return layer.Bytes(), err
}

// makeRootFS makes a folder with the files of the image, for those who take no image.
func makeRootFS(dir, busybox string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(bin, "busybox"), busybox, 0o755); err != nil {
		return err
	}
	for _, a := range applets {
		if err := os.Symlink("busybox", filepath.Join(bin, a)); err != nil {
			return err
		}
	}
	return nil
}
