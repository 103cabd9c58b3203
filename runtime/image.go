package runtime

// ImageSpec names an image and how to get it.
type ImageSpec struct {
	Ref      string       // as in ContainerDefinition.image: "nginx", "host:5000/app:1", "app@sha256:…" // required
	Auth     *Credentials // nil is anonymous
	Platform string       // "linux/arm64"; "" is this machine's

	// Refresh asks the registry what the tag names now. Without it a tag names what it did when it was first pulled or
	// last imported, until RemoveImage.
	Refresh bool

	// Offline asks no registry: an image that is not on this machine is [ErrImageNotFound]. Not with Refresh.
	Offline bool

	// Holder, if not "", holds the image that Pull returns: [ImageCollector.CollectImages] spares it until ReleaseImages
	// of that holder.
	Holder string

	// Progress, if not nil, is called now and then, and once at the end, from one goroutine at a time. It must not block.
	Progress func(PullProgress)
}

// Credentials are a user's at a registry.
type Credentials struct {
	Username string
	Password string // or token
}

// PullProgress is how far a pull is. Sizes are of compressed content, in bytes.
type PullProgress struct {
	Ref         string
	Done, Total int64 // Total grows while manifests are read
	Layers      int   // layers known so far
	LayersDone  int   // layers present
	Unpacking   bool  // all content is here and is being unpacked
	Cached      bool  // nothing had to be transferred
}

// Image is an image present on this machine.
type Image struct {
	Ref          string // what ContainerSpec.Image takes: the full name with its digest, immune to a moved tag
	Name         string // the full name that was asked for, docker.io/library/nginx:latest
	Digest       string // of what the tag named, "sha256:…", as ECS reports in imageDigest
	Platform     string // "linux/amd64"
	Size         int64  // bytes of compressed content
	Entrypoint   []string
	Command      []string
	Env          []string
	WorkingDir   string
	User         string
	StopSignal   string   // "" if the image names none
	Volumes      []string // paths declared VOLUME, sorted
	ExposedPorts []string // "80/tcp", sorted
	Labels       map[string]string
}
