//go:build linux

package containerd

import (
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

// progress is how far a transfer is.
type progress struct {
	mu          sync.Mutex
	done, total int64
	layers      map[digest.Digest]bool // true if present
	transferred bool
	unpacks     bool
}

// expect adds the layers of a manifest to what is still to come.
func (p *progress) expect(layers []ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.layers, p.total = map[digest.Digest]bool{}, p.done
	for _, layer := range layers {
		if _, twice := p.layers[layer.Digest]; !twice {
			p.layers[layer.Digest] = false
			p.total += layer.Size
		}
	}
}

func (p *progress) add(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += bytes
}

func (p *progress) finished(desc ocispec.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.layers[desc.Digest]; ok {
		p.layers[desc.Digest] = true
	}
}

func (p *progress) transferring() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transferred = true
}

func (p *progress) unpacking() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unpacks = true
}

// now is the progress as callers see it.
func (p *progress) now() runtime.PullProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	present := 0
	for _, ok := range p.layers {
		if ok {
			present++
		}
	}
	total := max(p.total, p.done)
	if p.layers != nil { // a transfer that was repeated in part has read more than there is
		total = p.total
	}
	return runtime.PullProgress{
		Done: min(p.done, total), Total: total, Layers: len(p.layers), LayersDone: present,
		Unpacking: p.unpacks, Cached: p.unpacks && !p.transferred,
	}
}
