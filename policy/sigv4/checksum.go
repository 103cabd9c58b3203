package sigv4

import (
	"crypto/sha1" //nolint:gosec // S3's, against accidents
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"slices"
)

// checksum is one that a trailer has of the body.
type checksum struct {
	name string
	hash hash.Hash
}

// value is the checksum as the trailer has it.
func (c *checksum) value() string { return base64.StdEncoding.EncodeToString(c.hash.Sum(nil)) }

// nvme is the polynomial of CRC-64/NVME, reversed.
const nvme = 0x9A6C9329AC4BC9B5

// checksums are those of S3's that a trailer announces.
func checksums(names []string) []*checksum {
	sums := []*checksum{}
	for _, known := range []struct {
		name string
		new  func() hash.Hash
	}{
		{"x-amz-checksum-crc32", func() hash.Hash { return crc32.NewIEEE() }},
		{"x-amz-checksum-crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
		{"x-amz-checksum-crc64nvme", func() hash.Hash { return crc64.New(crc64.MakeTable(nvme)) }},
		{"x-amz-checksum-sha1", sha1.New},
		{"x-amz-checksum-sha256", sha256.New},
	} {
		if slices.Contains(names, known.name) {
			sums = append(sums, &checksum{known.name, known.new()})
		}
	}
	return sums
}
