package runtimetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
)

var cacheChecks = []namedCheck{
	{"CollectLeastRecentlyUsed", collectLeastRecentlyUsed},
	{"CollectSparesWhatIsUsed", collectSparesWhatIsUsed},
	{"CollectSparesTheImported", collectSparesTheImported},
	{"CollectSparesTheYoung", collectSparesTheYoung},
	{"CollectDuringLaunches", collectDuringLaunches},
}

// publishedSize is the size of images of these checks, in bytes.
const publishedSize = 50_000

// collector skips a check of a driver without a cache that can be bounded, or of a fixture without a registry.
func (c *check) collector() (runtime.ImageCollector, runtime.ImageStore) {
	c.t.Helper()
	collector, ok := c.Driver.(runtime.ImageCollector)
	store, also := c.Driver.(runtime.ImageStore)
	if !ok || !also || c.Publish == nil {
		c.t.Skip("this driver is no ImageCollector, or its fixture publishes no images")
	}
	collector.HoldImages("suite", mainImage)
	return collector, store
}

// published publishes images.
func (c *check) published(n int) []string {
	c.t.Helper()
	var refs []string
	for i := range n {
		ref, err := c.Publish(c.ctx, fmt.Sprintf("cache-%d", i), publishedSize)
		c.ok("Publish", err)
		refs = append(refs, ref)
	}
	return refs
}

func (c *check) pull(ref string, change ...func(*runtime.ImageSpec)) runtime.Image {
	c.t.Helper()
	spec := runtime.ImageSpec{Ref: ref}
	for _, f := range change {
		f(&spec)
	}
	img, err := c.Driver.Pull(c.ctx, spec)
	c.ok("Pull("+ref+")", err)
	return img
}

// collect wants that these go, in this order.
func (c *check) collect(limit runtime.ImageLimit, want ...runtime.Image) int64 {
	c.t.Helper()
	collector, store := c.collector()
	done, err := collector.CollectImages(c.ctx, limit)
	c.ok("CollectImages", err)
	if diff := cmp.Diff(want, done.Removed); diff != "" {
		c.t.Fatalf("CollectImages(%+v) removed (-want +got):\n%s", limit, diff)
	}
	left, err := store.Images(c.ctx)
	c.ok("Images", err)
	for _, img := range want {
		if slices.ContainsFunc(left, func(other runtime.Image) bool { return other.Ref == img.Ref }) {
			c.t.Errorf("%s is listed after it was removed", img.Name)
		}
		_, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: img.Name, Offline: true})
		c.want("Pull of what was removed, offline", err, runtime.ErrImageNotFound)
	}
	return done.Bytes
}

func collectLeastRecentlyUsed(c *check) {
	c.collector()
	base := c.collect(runtime.ImageLimit{MaxBytes: math.MaxInt64})
	refs := c.published(3)
	first, second, third := c.pull(refs[0]), c.pull(refs[1]), c.pull(refs[2])
	c.pull(refs[0]) // used again
	all := c.collect(runtime.ImageLimit{MaxBytes: math.MaxInt64})
	if all < base+3*publishedSize {
		c.t.Errorf("three images of at least %d bytes take %d", publishedSize, all-base)
	}
	c.collect(runtime.ImageLimit{MaxBytes: all})
	less := c.collect(runtime.ImageLimit{MaxBytes: all - 1}, second)
	if less > all-publishedSize {
		c.t.Errorf("one of three images less: %d bytes of %d", less, all)
	}
	if left := c.collect(runtime.ImageLimit{}, third, first); left != base {
		c.t.Errorf("all three are gone and %d bytes are left", left-base)
	}
	if again := c.pull(refs[1]); again.Digest != second.Digest {
		c.t.Errorf("pulled again: %+v, first %+v", again, second)
	}
	c.collect(runtime.ImageLimit{}, second)
}

func collectSparesWhatIsUsed(c *check) {
	collector, _ := c.collector()
	refs := c.published(4)
	s := c.sandbox()
	made := c.pull(refs[0])
	spec := c.spec(s, "exit 0")
	spec.Image, spec.Entrypoint = made.Ref, []string{"/guest"}
	c.create(spec)
	byPull := c.pull(refs[1], func(spec *runtime.ImageSpec) { spec.Holder = "a" })
	collector.HoldImages("b", refs[2], "no/such:image", "not a reference")
	byName := c.pull(refs[2])
	loose := c.pull(refs[3])
	c.collect(runtime.ImageLimit{}, loose)
	collector.ReleaseImages("b")
	collector.ReleaseImages("nobody")
	c.collect(runtime.ImageLimit{}, byName)
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.wait(spec.ID)
	c.collect(runtime.ImageLimit{}) // it has ended and may run again
	if c.Reopen != nil {
		c.Driver = c.Reopen(c.t) // which ends holds, and not the container
		c.collect(runtime.ImageLimit{}, byPull)
	} else {
		collector.ReleaseImages("a")
		c.collect(runtime.ImageLimit{}, byPull)
	}
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
	c.collect(runtime.ImageLimit{}, made)
}

func collectSparesTheImported(c *check) {
	_, store := c.collector()
	const ref = "fardel.test/imported:1"
	img, err := image.New(image.Config{Ref: ref, Entrypoint: []string{"/guest"}}, image.Files(image.File{Name: "/x", Content: []byte("x")}))
	c.ok("make an image", err)
	archive, err := img.Open()
	c.ok("open an image", err)
	defer archive.Close()
	imported, err := store.ImportImage(c.ctx, "", archive)
	c.ok("ImportImage", err)
	c.collect(runtime.ImageLimit{})
	here, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: ref, Offline: true})
	c.ok("Pull of what was imported", err)
	c.equal("Ref", here.Ref, imported[0].Ref)
}

func collectSparesTheYoung(c *check) {
	c.collector()
	img := c.pull(c.published(1)[0])
	c.collect(runtime.ImageLimit{MinAge: time.Hour})
	c.collect(runtime.ImageLimit{}, img)
}

// collectDuringLaunches has everything collected that is not in use, again and again, while containers are launched of
// images that share layers. No launch may find its image gone.
func collectDuringLaunches(c *check) {
	collector, _ := c.collector()
	base := c.collect(runtime.ImageLimit{MaxBytes: math.MaxInt64})
	refs := c.published(4)
	s := c.sandbox()
	ctx, cancel := context.WithCancel(c.ctx)
	var collecting sync.WaitGroup
	rounds, removed := 0, 0
	collecting.Go(func() {
		for ctx.Err() == nil {
			done, err := collector.CollectImages(c.ctx, runtime.ImageLimit{})
			if err != nil {
				c.t.Errorf("CollectImages: %v", err)
				return
			}
			rounds, removed = rounds+1, removed+len(done.Removed)
		}
	})
	const launchers, launches = 3, 8
	var specs [launchers * launches]runtime.ContainerSpec
	for i := range specs {
		specs[i] = c.spec(s, "exit 0")
		specs[i].Entrypoint = []string{"/guest"}
	}
	for _, err := range together(launchers, func(i int) error {
		for j := range launches {
			if err := c.launch(collector, refs[(i+j)%len(refs)], specs[i*launches+j]); err != nil {
				return err
			}
		}
		return nil
	}) {
		c.ok("launch", err)
	}
	cancel()
	collecting.Wait()
	c.t.Logf("%d launches during %d collections that removed %d images", len(specs), rounds, removed)
	done, err := collector.CollectImages(c.ctx, runtime.ImageLimit{})
	c.ok("CollectImages", err)
	if done.Bytes != base {
		c.t.Errorf("nothing is in use any more, and there are %d bytes", done.Bytes-base)
	}
}

// launch does with one image what a task does.
func (c *check) launch(collector runtime.ImageCollector, ref string, spec runtime.ContainerSpec) error {
	holder := "task-" + spec.ID
	defer collector.ReleaseImages(holder)
	img, err := c.Driver.Pull(c.ctx, runtime.ImageSpec{Ref: ref, Holder: holder})
	if err != nil {
		return err
	}
	spec.Image = img.Ref
	if err := c.Driver.CreateContainer(c.ctx, spec); err != nil {
		return err
	}
	if err := c.Driver.Start(c.ctx, spec.ID); err != nil {
		return err
	}
	if _, err := c.Driver.Wait(c.ctx, spec.ID); err != nil {
		return err
	}
	return c.Driver.RemoveContainer(c.ctx, spec.ID)
}
