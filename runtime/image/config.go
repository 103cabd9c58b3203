package image

import (
	"encoding/json"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Config is what containers of an image run with unless their definition says otherwise, and how the image is named.
type Config struct {
	Ref          string // name and tag, "myapp:1"; "" leaves it to who imports it
	Architecture string // as Go names it; "" is this machine's, or the executable's
	Entrypoint   []string
	Command      []string
	Env          []string // "KEY=value"
	WorkingDir   string
	User         string
	StopSignal   string
	Volumes      []string // paths
	ExposedPorts []string // "80/tcp"
	Labels       map[string]string
	Created      time.Time // the zero value leaves it out and is what makes images reproducible

	Gzip bool // compress layers
}

// Media types of the OCI image format.
const (
	typeIndex     = "application/vnd.oci.image.index.v1+json"
	typeManifest  = "application/vnd.oci.image.manifest.v1+json"
	typeConfig    = "application/vnd.oci.image.config.v1+json"
	typeLayer     = "application/vnd.oci.image.layer.v1.tar"
	typeLayerGzip = typeLayer + "+gzip"
)

// Annotations of an index entry: the tag, and the full name that containerd looks for.
const (
	annotationTag  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

// descriptor points at a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Manifests     []descriptor `json:"manifests"`
}

// imageConfig is the configuration blob, in which Docker's names have capitals.
type imageConfig struct {
	Created *time.Time `json:"created,omitempty"`
	platform
	Config containerConfig `json:"config"`
	RootFS rootFS          `json:"rootfs"`
}

type containerConfig struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

func (c Config) architecture() string {
	if c.Architecture != "" {
		return c.Architecture
	}
	return goruntime.GOARCH
}

// encode returns the configuration blob.
func (c Config) encode(diffIDs []string) ([]byte, error) {
	var created *time.Time
	if !c.Created.IsZero() {
		created = new(c.Created.UTC())
	}
	return json.Marshal(imageConfig{
		Created: created, platform: platform{Architecture: c.architecture(), OS: "linux"},
		Config: containerConfig{
			User: c.User, ExposedPorts: set(c.ExposedPorts), Env: c.Env, Entrypoint: c.Entrypoint, Cmd: c.Command,
			Volumes: set(c.Volumes), WorkingDir: c.WorkingDir, Labels: c.Labels, StopSignal: c.StopSignal,
		},
		RootFS: rootFS{Type: "layers", DiffIDs: diffIDs},
	})
}

// runtimeImage is the reverse of encode.
func (c imageConfig) runtimeImage() runtime.Image {
	p := c.OS + "/" + c.Architecture
	if c.Variant != "" {
		p += "/" + c.Variant
	}
	return runtime.Image{
		Platform: p, Entrypoint: c.Config.Entrypoint, Command: c.Config.Cmd, Env: c.Config.Env, WorkingDir: c.Config.WorkingDir,
		User: c.Config.User, StopSignal: c.Config.StopSignal, Volumes: keys(c.Config.Volumes),
		ExposedPorts: keys(c.Config.ExposedPorts), Labels: c.Config.Labels,
	}
}

func set(list []string) map[string]struct{} {
	m := make(map[string]struct{}, len(list))
	for _, v := range list {
		m[v] = struct{}{}
	}
	return m
}

func keys(m map[string]struct{}) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
