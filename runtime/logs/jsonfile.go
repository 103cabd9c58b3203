package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// Bounds of a json-file log where its options name none. Docker's max-size is no limit.
const (
	defaultMaxSize  = 16 << 20
	defaultMaxFiles = 2
	dockerMaxFiles  = 1 // with max-size and without max-file
)

// jsonFile writes lines in Docker's format.
type jsonFile struct {
	file  *rotated
	attrs map[string]string
	taken uint64
}

// jsonLine is one line of the file.
type jsonLine struct {
	Log    string            `json:"log"`
	Stream string            `json:"stream"`
	Attrs  map[string]string `json:"attrs,omitempty"`
	Time   time.Time         `json:"time"`
}

func openJSONFile(path string, options map[string]string, info Info) (*jsonFile, error) {
	size, files := int64(defaultMaxSize), defaultMaxFiles
	var err error
	if v := options["max-size"]; v != "" {
		if size, err = parseSize(v); err != nil {
			return nil, err
		}
		files = dockerMaxFiles
	}
	if v := options["max-file"]; v != "" {
		if files, err = parseCount(v); err != nil {
			return nil, err
		}
	}
	attrs, err := attributes(options, info)
	if err != nil {
		return nil, err
	}
	f, err := openRotated(path, size, files, options["compress"] == "true")
	if err != nil {
		return nil, err
	}
	return &jsonFile{file: f, attrs: attrs}, nil
}

// Write implements [Writer].
func (j *jsonFile) Write(_ context.Context, r Record) error {
	line := string(r.Line)
	if r.Part == nil || r.Part.Last {
		line += "\n"
	}
	text, err := json.Marshal(jsonLine{line, r.Stream(), j.attrs, r.Time.UTC()})
	if err != nil {
		return err
	}
	if err := j.file.write(append(text, '\n')); err != nil {
		return err
	}
	j.taken++
	return nil
}

// Flush implements [Writer].
func (j *jsonFile) Flush(context.Context, bool) (uint64, error) { return j.taken, j.file.flush() }

// Close implements [Writer].
func (j *jsonFile) Close() error { return j.file.close() }

// attributes are the labels, variables and tag that the options ask for, as Docker adds them.
func attributes(options map[string]string, info Info) (map[string]string, error) {
	attrs := map[string]string{}
	env := map[string]string{}
	for _, kv := range info.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	for _, choice := range []struct {
		option string
		from   map[string]string
	}{{"labels", info.Labels}, {"env", env}} {
		for name := range strings.SplitSeq(options[choice.option], ",") {
			if v, ok := choice.from[name]; ok {
				attrs[name] = v
			}
		}
		pattern := options[choice.option+"-regex"]
		if pattern == "" {
			continue
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		for name, v := range choice.from {
			if re.MatchString(name) {
				attrs[name] = v
			}
		}
	}
	if options["tag"] != "" {
		tag, err := expandTag(options["tag"], info)
		if err != nil {
			return nil, err
		}
		attrs["tag"] = tag
	}
	return attrs, nil
}

// tagFields are what Docker's tags can name: {{.Name}}, {{.ID}} and so on.
type tagFields struct{ ID, FullID, Name, ImageName, DaemonName string }

func parseTag(text string) (*template.Template, error) {
	t, err := template.New("tag").Parse(text)
	if err != nil {
		return nil, err
	}
	// A field that is not there shows when it is used.
	return t, t.Execute(&strings.Builder{}, tagFields{})
}

func expandTag(text string, info Info) (string, error) {
	t, err := parseTag(text)
	if err != nil {
		return "", fmt.Errorf("tag %q: %w", text, err)
	}
	var b strings.Builder
	err = t.Execute(&b, tagFields{
		ID: info.RuntimeID[:min(12, len(info.RuntimeID))], FullID: info.RuntimeID, Name: info.ContainerName,
		ImageName: info.Image, DaemonName: "fardel",
	})
	return b.String(), err
}
