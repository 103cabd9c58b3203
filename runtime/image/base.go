package image

import (
	"fmt"
	"io/fs"
	"os"
)

// Base is a layer of what nearly every program expects: /etc/passwd and /etc/group with root and nobody, resolution of
// names from files and then DNS, an empty root's home and /tmp that all may write to.
func Base() Layer {
	return Files(
		File{Name: "/etc/passwd", Content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n")},
		File{Name: "/etc/group", Content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		File{Name: "/etc/nsswitch.conf", Content: []byte("hosts: files dns\n")},
		File{Name: "/root", Mode: fs.ModeDir | 0o700},
		File{Name: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
	)
}

// caFile is where Go and OpenSSL look for authorities first in an image, whatever the host's place for them.
const caFile = "/etc/ssl/certs/ca-certificates.crt"

// caFiles are where Linux distributions have their bundle of certificate authorities.
var caFiles = []string{
	caFile, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// CACertificates is a layer with this machine's certificate authorities, which programs need to speak TLS with servers
// on the Internet. A machine without any is an error that matches fs.ErrNotExist.
func CACertificates() Layer {
	return Layer{list: func() ([]File, error) {
		for _, name := range caFiles {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
				return []File{{Name: caFile, Path: name}}, nil
			}
		}
		return nil, fmt.Errorf("certificate authorities of this machine, in none of %q (apt-get install ca-certificates): %w", caFiles, fs.ErrNotExist)
	}}
}
