package linux

import (
	"errors"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// unsupported turns what the kernel answers to those who may not, or what it cannot, into an error that names the fix.
func unsupported(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EROFS):
		return &network.UnsupportedError{Feature: "a Linux fabric", Err: err,
			Needs: "root, or CAP_NET_ADMIN and CAP_SYS_ADMIN with /proc/sys writable (tests of host programs can use network/fake)"}
	case errors.Is(err, unix.ENOSYS):
		return &network.UnsupportedError{Feature: "a Linux fabric", Needs: "a kernel with network namespaces (CONFIG_NET_NS)", Err: err}
	}
	return err
}

// unsupportedNFT does the same for answers of nftables. whole says that a table was sent with all that it refers to, so
// that what is missing is a part of the kernel.
func unsupportedNFT(err error, whole bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT),
		whole && errors.Is(err, unix.ENOENT):
		return &network.UnsupportedError{Feature: "security groups", Err: err,
			Needs: "nftables in the kernel: modprobe nf_tables nf_conntrack nft_ct nft_masq nft_limit nft_connlimit nft_hash, or a kernel of 5.6 or later with them"}
	}
	return unsupported(err)
}

// unsupportedLink does the same for answers to the making of links.
func unsupportedLink(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return &network.UnsupportedError{Feature: "ENIs", Needs: "veth in the kernel: modprobe veth", Err: err}
	}
	return unsupported(err)
}
