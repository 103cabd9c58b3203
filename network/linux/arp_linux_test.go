package linux

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// sendARP announces from a namespace that an address is at a MAC: unasked, as an answer, and as a question.
func sendARP(t testing.TB, path string, mac network.MAC, addr netip.Addr) {
	t.Helper()
	in(t, path, func() error {
		eth0, err := net.InterfaceByName(eniName)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for _, op := range []uint16{1, 2} {
			for _, to := range []network.MAC{routerMAC(), {255, 255, 255, 255, 255, 255}} {
				frame := slices.Concat(to[:], mac[:], []byte{0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 0}, mac[:], addr.AsSlice(), to[:], addr.AsSlice())
				binary.BigEndian.PutUint16(frame[20:], op)
				if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth0.Index, Halen: 6}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
