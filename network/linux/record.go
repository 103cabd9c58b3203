package linux

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// record is what is kept on disk of an ENI that is completely attached, one file each. It is written last and renamed
// first when the ENI goes, so a file named .json vouches for the rest. The kernel forgets everything when the machine
// stops, so a record is not worth a sync: one that cannot be read counts as missing.
type record struct {
	Version    int                `json:"version"`
	VPC        string             `json:"vpcId"`
	ENI        network.ENI        `json:"networkInterface"`
	Attachment network.Attachment `json:"attachment"`
}

const (
	recordVersion = 1
	recordSuffix  = ".json"
	goneSuffix    = ".gone" // an ENI whose removal has begun
	draftSuffix   = ".new"
)

type recordFiles struct{ dir string }

// create writes the record of an ENI that has none. A crash leaves a part of it, which counts as none.
func (r recordFiles) create(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, rec.ENI.ID+recordSuffix), data, 0o600)
}

// replace writes the record of an ENI that may have one. A crash leaves the old one or the new one.
func (r recordFiles) replace(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, rec.ENI.ID)
	if err := os.WriteFile(path+draftSuffix, data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+draftSuffix, path+recordSuffix)
}

// bury notes that an ENI's removal has begun.
func (r recordFiles) bury(id string) error {
	path := filepath.Join(r.dir, id)
	err := os.Rename(path+recordSuffix, path+goneSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forget removes all files of an ENI whose removal is complete.
func (r recordFiles) forget(id string) error {
	path := filepath.Join(r.dir, id)
	return errors.Join(removeFile(path+recordSuffix), removeFile(path+goneSuffix), removeFile(path+draftSuffix))
}

// read returns the records of attached ENIs and the IDs of those that are on their way out or in.
func (r recordFiles) read() (attached map[string]record, partial map[string]bool, err error) {
	attached, partial = map[string]record{}, map[string]bool{}
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return attached, partial, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		id, suffix, _ := strings.Cut(entry.Name(), ".")
		if suffix = "." + suffix; suffix != recordSuffix {
			partial[id] = true
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.dir, entry.Name()))
		if err != nil {
			return nil, nil, err
		}
		var rec record
		if json.Unmarshal(data, &rec) != nil || rec.Version != recordVersion || rec.ENI.ID != id {
			partial[id] = true
			continue
		}
		attached[id] = rec
	}
	return attached, partial, nil
}

// removeFile removes a file that may be missing.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
