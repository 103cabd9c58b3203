package runtimetest

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fardel-io/fardel/runtime"
)

var imageChecks = []namedCheck{
	{"PullConfig", pullConfig},
	{"PullRepeats", pullRepeats},
	{"PullMissing", pullMissing},
	{"PullInvalid", pullInvalid},
	{"PullOffline", pullOffline},
	{"UnknownImage", unknownImage},
	{"MovedTag", movedTag},
	{"ImagesAndRemove", imagesAndRemove},
	{"ImportGarbage", importGarbage},
}

func pullConfig(c *check) {
	config := runtime.Image{
		Entrypoint: []string{"/guest"}, Command: []string{"out a", "out b"}, Env: []string{"A=1", "B=2"},
		WorkingDir: "/work", User: "app:audio", StopSignal: "SIGINT", Labels: map[string]string{"k": "v"},
	}
	got := c.addImage("fardel.test/guest:config", config)
	if diff := cmp.Diff(config, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(runtime.Image{}, "Ref", "Name", "Digest", "Platform", "Size")); diff != "" {
		c.t.Errorf("configuration (-want +got):\n%s", diff)
	}
	c.equal("Name", got.Name, "fardel.test/guest:config")
	if !strings.HasPrefix(got.Digest, "sha256:") || len(got.Digest) != len("sha256:")+64 {
		c.t.Errorf("Digest: got %q", got.Digest)
	}
	if !strings.HasSuffix(got.Ref, "@"+got.Digest) {
		c.t.Errorf("Ref %q does not end with the digest %s", got.Ref, got.Digest)
	}
	if !strings.HasPrefix(got.Platform, "linux/") || got.Size <= 0 {
		c.t.Errorf("Platform %q, Size %d", got.Platform, got.Size)
	}
}

// pullOffline wants what is on this machine, and no request for anything else.
func pullOffline(c *check) {
	here, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: mainImage, Offline: true})
	c.ok("Pull of an image that is here", err)
	c.equal("Ref", here.Ref, c.image.Ref)
	_, err = c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: "registry.invalid/none:1", Offline: true})
	c.want("Pull of one that is not", err, runtime.ErrImageNotFound)
}

func pullRepeats(c *check) {
	again, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: mainImage})
	c.ok("Pull again", err)
	if diff := cmp.Diff(c.image, again); diff != "" {
		c.t.Errorf("Pull again (-first +second):\n%s", diff)
	}
	byDigest, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: c.image.Ref})
	c.ok("Pull by digest", err)
	c.equal("digest", byDigest.Digest, c.image.Digest)
	for _, err := range together(6, func(int) error {
		_, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: mainImage})
		return err
	}) {
		c.ok("Pull at once", err)
	}
	var last runtime.PullProgress
	_, err = c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: mainImage, Progress: func(p runtime.PullProgress) { last = p }})
	c.ok("Pull with progress", err)
	if !last.Cached {
		c.t.Errorf("last progress of a cached image: %+v", last)
	}
}

func pullMissing(c *check) {
	if c.MissingImage == "" {
		c.t.Skip("this fixture names no missing image")
	}
	_, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: c.MissingImage})
	c.want("Pull("+c.MissingImage+")", err, runtime.ErrImageNotFound)
	if err != nil && !strings.Contains(err.Error(), c.MissingImage) {
		c.t.Errorf("%q does not name the image", err)
	}
	over, cancel := context.WithCancel(c.ctx)
	cancel()
	_, err = c.Driver.Pull(over, runtime.ImageSpec{Ref: c.MissingImage})
	c.want("Pull, cancelled", err, context.Canceled)
}

func pullInvalid(c *check) {
	for _, ref := range []string{"", "x/UPPER", "a b", "host/x:", "x@sha256:12", "https://host/x"} {
		_, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: ref})
		c.want("Pull("+ref+")", err, runtime.ErrInvalid)
	}
}

func unknownImage(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "exit 0")
	spec.Image = "fardel.test/none@sha256:" + strings.Repeat("0", 64)
	err := c.Driver.CreateContainer(c.ctx, spec)
	c.want("CreateContainer", err, runtime.ErrImageNotFound)
	if err != nil && !strings.Contains(err.Error(), spec.Image) {
		c.t.Errorf("%q does not name the image", err)
	}
}

// movedTag wants that what a tag named before stays what it was for those who asked then.
func movedTag(c *check) {
	const ref = "fardel.test/guest:moving"
	s := c.sandbox()
	first := c.addImage(ref, runtime.Image{Entrypoint: []string{"/guest"}, Command: []string{"out first"}})
	second := c.addImage(ref, runtime.Image{Entrypoint: []string{"/guest"}, Command: []string{"out second"}})
	if first.Digest == second.Digest {
		c.t.Fatal("two images have one digest")
	}
	for _, tt := range []struct {
		image runtime.Image
		want  string
	}{{first, "first\n"}, {second, "second\n"}} {
		c.equal(tt.image.Ref, c.output(s, func(spec *runtime.ContainerSpec) { spec.Image, spec.Command = tt.image.Ref, nil }), tt.want)
	}
}

func imagesAndRemove(c *check) {
	store, ok := c.Driver.(runtime.ImageStore)
	if !ok {
		c.t.Skip("this driver is no ImageStore")
	}
	const ref = "fardel.test/guest:removed"
	added := c.addImage(ref, runtime.Image{Entrypoint: []string{"/guest"}, Labels: map[string]string{"only": "here"}})
	images, err := store.Images(c.ctx)
	c.ok("Images", err)
	i := slices.IndexFunc(images, func(img runtime.Image) bool { return img.Name == ref })
	if i < 0 {
		c.t.Fatalf("Images lacks %s: %+v", ref, images)
	}
	if diff := cmp.Diff(added, images[i]); diff != "" {
		c.t.Errorf("Images (-pulled +listed):\n%s", diff)
	}
	s := c.sandbox()
	running := c.spec(s, "out up", "catch TERM 3", "hang")
	running.Image = added.Ref
	c.start(running)
	c.awaitLog(running.Log, "up")
	for range 2 {
		c.ok("RemoveImage", store.RemoveImage(c.ctx, ref))
	}
	images, err = store.Images(c.ctx)
	c.ok("Images", err)
	if slices.ContainsFunc(images, func(img runtime.Image) bool { return img.Name == ref }) {
		c.t.Errorf("%s is listed after RemoveImage", ref)
	}
	c.ok("Kill of a container of a removed image", c.Driver.Kill(c.ctx, running.ID, "SIGTERM"))
	if exit := c.wait(running.ID); exit.Code != 3 {
		c.t.Errorf("a container of a removed image: got %+v", exit)
	}
}

func importGarbage(c *check) {
	store, ok := c.Driver.(runtime.ImageStore)
	if !ok {
		c.t.Skip("this driver is no ImageStore")
	}
	before, err := store.Images(c.ctx)
	c.ok("Images", err)
	for name, content := range map[string]string{"empty": "", "text": strings.Repeat("no archive ", 200), "gzip": "\x1f\x8b\x08broken"} {
		_, err := store.ImportImage(c.ctx, "fardel.test/garbage:"+name, strings.NewReader(content))
		c.want("ImportImage of "+name, err, runtime.ErrImageCorrupt)
	}
	after, err := store.Images(c.ctx)
	c.ok("Images", err)
	if len(after) != len(before) {
		c.t.Errorf("%d images before, %d after", len(before), len(after))
	}
}
