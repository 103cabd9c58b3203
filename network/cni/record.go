package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// recordVersion is the version of the files below; a newer one is refused.
const recordVersion = 1

// record is what is kept of an ENI, from before the first plugin is called for it until after the last.
type record struct {
	Version  int             `json:"version"`
	Complete bool            `json:"complete"` // its plugins have been called and have answered
	VPC      string          `json:"vpc"`
	ENI      network.ENI     `json:"eni"`
	Config   json.RawMessage `json:"config"` // what the plugins were called with, for their undoing
	Args     map[string]any  `json:"args,omitempty"`

	Attachment network.Attachment `json:"attachment,omitzero"`
}

// records are files named after ENIs.
type records struct{ dir string }

// write replaces the file of an ENI as a whole.
func (r records) write(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, rec.ENI.ID+".json")
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (r records) remove(eni string) error {
	if err := os.Remove(filepath.Join(r.dir, eni+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// list reads all files. One that was being written when its writer died stands for nothing.
func (r records) list() ([]record, error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []record
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var rec record
		if err := json.Unmarshal(data, &rec); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if rec.Version != recordVersion {
			return nil, fmt.Errorf("%s has version %d and this version of fardel reads %d: use the version that wrote it", path, rec.Version, recordVersion)
		}
		all = append(all, rec)
	}
	left, err := filepath.Glob(filepath.Join(r.dir, "*.new"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return all, err
}
