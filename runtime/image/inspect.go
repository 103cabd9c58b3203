package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// Limits of what Inspect keeps in memory of an archive that may come from anywhere.
const (
	maxDocument  = 1 << 20 // bytes of a JSON document; real ones have a few thousand
	maxDocuments = 256
)

// Inspect reads an archive, an OCI layout as tar or one of docker save, plain or gzipped, and says what images it holds.
// Ref and Name of an image are the full name with its tag, and "" if the archive names none; Size is that of its
// layers. Errors match [ErrCorrupt], or are those of r.
func Inspect(r io.Reader) ([]runtime.Image, error) {
	s := &source{from: r}
	documents, err := s.documents()
	if s.err != nil {
		return nil, s.err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, ok := documents["index.json"]; ok {
		return documents.images("index.json")
	}
	if _, ok := documents["manifest.json"]; ok {
		return documents.dockerImages()
	}
	return nil, fmt.Errorf("%w: it has neither index.json nor manifest.json", ErrCorrupt)
}

// source remembers the errors of the reader itself, which say nothing about the archive.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = err
	}
	return n, err
}

// documents reads an archive, of which the first bytes tell whether it is compressed.
func (s *source) documents() (documents, error) {
	buffered := bufio.NewReader(s)
	if magic, err := buffered.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return readDocuments(buffered)
	}
	zr, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, err
	}
	return readDocuments(zr)
}

// documents are the small files of an archive, by name.
type documents map[string][]byte

func readDocuments(r io.Reader) (documents, error) {
	found := documents{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) && len(found) > 0 {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if header.Typeflag != tar.TypeReg || header.Size > maxDocument || len(found) >= maxDocuments {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		if json.Valid(content) {
			found[name] = content
		}
	}
}

func (d documents) decode(name string, into any) error {
	content, ok := d[name]
	if !ok {
		return fmt.Errorf("%w: %s is missing or no JSON document", ErrCorrupt, name)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
	}
	return nil
}

// images lists what an index names. Entries without a configuration, such as attestations, are left out.
func (d documents) images(name string) ([]runtime.Image, error) {
	var top index
	if err := d.decode(name, &top); err != nil {
		return nil, err
	}
	var list []runtime.Image
	for _, entry := range top.Manifests {
		if strings.Contains(entry.MediaType, "index") || strings.Contains(entry.MediaType, "manifest.list") {
			nested, err := d.nested(entry, name)
			if err != nil {
				return nil, err
			}
			list = append(list, nested...)
			continue
		}
		img, err := d.image(entry)
		if err != nil {
			return nil, err
		}
		img.Name = imageName(entry.Annotations)
		img.Ref = img.Name
		list = append(list, img)
	}
	return list, nil
}

func (d documents) nested(entry descriptor, parent string) ([]runtime.Image, error) {
	if parent != "index.json" {
		return nil, fmt.Errorf("%w: an index within an index within an index", ErrCorrupt)
	}
	list, err := d.images(blobPath(entry.Digest))
	for i := range list {
		list[i].Name = imageName(entry.Annotations)
		list[i].Ref, list[i].Digest = list[i].Name, entry.Digest
	}
	return list, err
}

func (d documents) image(entry descriptor) (runtime.Image, error) {
	var m manifest
	if err := d.decode(blobPath(entry.Digest), &m); err != nil {
		return runtime.Image{}, err
	}
	var c imageConfig
	if err := d.decode(blobPath(m.Config.Digest), &c); err != nil {
		return runtime.Image{}, err
	}
	img := c.runtimeImage()
	img.Digest = entry.Digest
	for _, l := range m.Layers {
		img.Size += l.Size
	}
	return img, nil
}

// imageName is the full name that an index gives an entry: containerd's annotation, or the OCI one if it is a name.
func imageName(annotations map[string]string) string {
	for _, key := range []string{annotationName, annotationTag} {
		ref := annotations[key]
		if key == annotationTag && !strings.ContainsAny(ref, "/:") {
			continue // a tag without a repository
		}
		if name, err := runtime.ParseImageName(ref); err == nil {
			return name.String()
		}
	}
	return ""
}

// dockerImages lists what docker save wrote. Its manifest has no digest; the configuration's stands in for it.
func (d documents) dockerImages() ([]runtime.Image, error) {
	var entries []struct {
		Config   string
		RepoTags []string
	}
	if err := d.decode("manifest.json", &entries); err != nil {
		return nil, err
	}
	var list []runtime.Image
	for _, entry := range entries {
		var c imageConfig
		if err := d.decode(path.Clean(entry.Config), &c); err != nil {
			return nil, err
		}
		img := c.runtimeImage()
		img.Digest = digestOf(d[path.Clean(entry.Config)])
		if len(entry.RepoTags) == 0 {
			list = append(list, img)
		}
		slices.Sort(entry.RepoTags)
		for _, tag := range entry.RepoTags {
			name, err := runtime.ParseImageName(tag)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			img.Ref, img.Name = name.String(), name.String()
			list = append(list, img)
		}
	}
	return list, nil
}
