package secrets

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fardel-io/fardel/task"
)

// DownloadTimeout is how long ECS waits for one environment file.
const DownloadTimeout = 30 * time.Second

// maxEnvironmentFile bounds a file, in bytes. ECS names no limit; the kernel's, of what a process can be given, is lower.
const maxEnvironmentFile = 4 << 20

// ObjectStore stands for S3. It may be called at the same time for several objects.
type ObjectStore interface {
	// Object returns an object's content. [ErrNotFound] if there is none.
	Object(ctx context.Context, bucket, key string) ([]byte, error)
}

// Buckets is an [ObjectStore] on the files <Dir>/<bucket>/<key>.
type Buckets struct {
	Dir string // required
}

// Object implements [ObjectStore].
func (b Buckets) Object(_ context.Context, bucket, key string) ([]byte, error) {
	data, err := readBelow(b.Dir, bucket+"/"+key, maxEnvironmentFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("object s3://%s/%s: %w in %s", bucket, key, ErrNotFound, b.Dir)
	}
	return data, err
}

// SplitObjectARN returns the bucket and key of an S3 object.
func SplitObjectARN(arn string) (bucket, key string, err error) {
	a, err := task.ParseARN(arn)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	bucket, key, ok := strings.Cut(a.Resource, "/")
	if a.Service != "s3" || !ok || bucket == "" || key == "" {
		return "", "", fmt.Errorf("%w: %q is not the ARN of an S3 object", ErrInvalid, arn)
	}
	return bucket, key, nil
}

// ParseEnvironmentFile reads lines of VARIABLE=VALUE by the rules of the ECS agent: a line that begins with # is a comment,
// one without an equals sign or with nothing before it is skipped, and everything after the first equals sign is the value,
// with its spaces and quotes. Of a variable that is there twice the last one counts. The error says which line is not
// UTF-8, has a zero byte or is longer than 64 KiB.
func ParseEnvironmentFile(data []byte) ([]task.KeyValuePair, error) {
	var vars []task.KeyValuePair
	index := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("line %d is not UTF-8 text", n)
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || line[0] == '#' {
			continue
		}
		if i, twice := index[name]; twice {
			vars[i].Value = value
			continue
		}
		index[name] = len(vars)
		vars = append(vars, task.KeyValuePair{Name: name, Value: value})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return vars, nil
}

// Merge returns the variables of environment files that a container gets beside those that its definition sets: of several
// files the first that has a variable counts, and what is set already is not replaced (ECS).
func Merge(set []string, files ...[]task.KeyValuePair) []task.KeyValuePair {
	have := map[string]bool{}
	for _, name := range set {
		have[name] = true
	}
	var merged []task.KeyValuePair
	for _, file := range files {
		for _, kv := range file {
			if !have[kv.Name] {
				have[kv.Name] = true
				merged = append(merged, kv)
			}
		}
	}
	return merged
}
