//go:build linux

package local_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/network/linux"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
)

const (
	peerDatagrams, peerConnections = 7000, 7001

	connectionShare, connectionTries = 100, 400
)

// hostileNetwork is a container that tries the network: "peer", which says what it hears and keeps the connections that it
// gets, or "attack ADDRESS", which is after a peer.
func hostileNetwork(rest string) error {
	role, peer, _ := strings.Cut(rest, " ")
	if role == "peer" {
		return hostilePeer()
	}
	victim, err := netip.ParseAddr(peer)
	if err != nil {
		return err
	}
	fmt.Println("open ports:", openPorts())
	if err := sendToAll(victim); err != nil {
		return err
	}
	var held []net.Conn
	var mu sync.Mutex
	var tries sync.WaitGroup
	for range connectionTries {
		tries.Go(func() {
			c, err := net.DialTimeout("tcp4", netip.AddrPortFrom(victim, peerConnections).String(), 3*time.Second)
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			if line, _ := bufio.NewReader(c).ReadString('\n'); line == "hello\n" {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, c)
			}
		})
	}
	tries.Wait()
	fmt.Println("connections held:", len(held))
	select {} // and goes on to hold them
}

// hostilePeer prints each datagram that it hears, once.
func hostilePeer() error {
	for _, port := range []int{peerDatagrams, 5353, 1900, 68} {
		c, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 1500)
			for {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				fmt.Printf("%d hears %s\n", port, buf[:n])
			}
		}()
	}
	l, err := net.Listen("tcp4", fmt.Sprintf(":%d", peerConnections))
	if err != nil {
		return err
	}
	fmt.Println("hearing")
	var kept []net.Conn
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c, "hello")
		kept = append(kept, c)
	}
}

// openPorts looks for what answers a task beside other tasks.
func openPorts() (open []string) {
	own := ownAddress().As4()
	addrs := []string{"169.254.170.2", "169.254.169.253", "169.254.169.254", fmt.Sprintf("%d.%d.0.1", own[0], own[1]), fmt.Sprintf("%d.%d.0.2", own[0], own[1]), "127.0.0.1"}
	var mu sync.Mutex
	var tries sync.WaitGroup
	for _, a := range addrs {
		for _, port := range []int{21, 22, 25, 53, 80, 111, 123, 443, 2375, 2376, 2379, 5000, 6443, 8080, 9090, 10250, 51678, 51679} {
			tries.Go(func() {
				c, err := net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", a, port), 2*time.Second)
				if err != nil {
					return
				}
				_ = c.Close()
				mu.Lock()
				defer mu.Unlock()
				open = append(open, fmt.Sprintf("%s:%d", a, port))
			})
		}
	}
	tries.Wait()
	slices.Sort(open)
	return open
}

// sendToAll sends datagrams that say "forged" to groups and broadcast addresses, and with addresses that are others', and
// then one that says "honest" to the victim.
func sendToAll(victim netip.Addr) error {
	out, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if errors.Is(err, syscall.EPERM) { // as in gVisor
		return sendDatagramTo(victim, "honest")
	}
	if err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(out, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1); err != nil {
		return err
	}
	own := ownAddress()
	a := victim.As4()
	send := func(from, to netip.Addr, port int, text string) error {
		err := syscall.Sendto(out, datagram(from, to, port, text), 0, &syscall.SockaddrInet4{Addr: to.As4()})
		if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EINVAL) {
			return nil // its own kernel refuses
		}
		return err
	}
	for to, port := range map[netip.Addr]int{
		netip.AddrFrom4([4]byte{255, 255, 255, 255}): peerDatagrams, netip.AddrFrom4([4]byte{a[0], a[1], 255, 255}): peerDatagrams,
		netip.AddrFrom4([4]byte{a[0], a[1], 15, 255}): 68, netip.AddrFrom4([4]byte{224, 0, 0, 1}): peerDatagrams,
		netip.AddrFrom4([4]byte{224, 0, 0, 251}): 5353, netip.AddrFrom4([4]byte{239, 255, 255, 250}): 1900,
	} {
		if err := send(own, to, port, "forged for all"); err != nil {
			return err
		}
	}
	for _, from := range []string{"169.254.170.2", "169.254.169.253", "127.0.0.1", "8.8.8.8", victim.String(), victim.Next().String()} {
		if err := send(netip.MustParseAddr(from), victim, peerDatagrams, "forged from "+from); err != nil {
			return err
		}
	}
	return send(own, victim, peerDatagrams, "honest")
}

// sendDatagramTo sends what a container without raw sockets can.
func sendDatagramTo(victim netip.Addr, text string) error {
	c, err := net.Dial("udp4", netip.AddrPortFrom(victim, peerDatagrams).String())
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return errors.Join(err, c.Close())
}

// TestHostileNetwork has a task with the default capabilities look for services that are not for it, send to all and in the
// name of others, and open as many connections as it can. Its neighbours go on as if nothing was.
func TestHostileNetwork(t *testing.T) {
	c := open(t, func(cfg *local.Config) { cfg.ConnectionLimits = linux.ConnectionLimits{Open: connectionShare} })
	peer := start(t, c, define([]string{"app", "hostile-network peer"}), scheduler.RunOptions{})
	at := running(t, peer).Attachments[0].Detail("privateIPv4Address")
	awaitOutput(t, peer, "app", "hearing")
	attacker := start(t, c, define([]string{"app", "hostile-network attack " + at}), scheduler.RunOptions{})
	awaitOutput(t, attacker, "app", "connections held:")
	awaitOutput(t, peer, "app", "honest")

	var ports string
	held := -1
	for line := range strings.Lines(output(t, attacker, "app")) {
		if p, ok := strings.CutPrefix(line, "open ports: "); ok {
			ports = strings.TrimSpace(p)
		}
		_, _ = fmt.Sscanf(line, "connections held: %d", &held)
	}
	var strange []string
	for _, p := range strings.Fields(strings.Trim(ports, "[]")) {
		endpoint := p == "169.254.170.2:80" || p == "169.254.169.253:53" || strings.HasSuffix(p, ".0.2:53")
		if !endpoint {
			strange = append(strange, p)
		}
	}
	hostiletest.Report(t, "a task reaches services of the machine that are not for tasks", len(strange) > 0 || ports == "[]", "open are "+ports)
	heard := output(t, peer, "app")
	hostiletest.Report(t, "a task sends to all, or in another's name", strings.Contains(heard, "forged"), fmt.Sprintf("its neighbour heard %q", heard))
	hostiletest.Report(t, "a task opens more connections than its share", held > connectionShare || held <= 0,
		fmt.Sprintf("%d of %d, the share is %d", held, connectionTries, connectionShare))
	// While it holds them.
	for _, target := range []string{fmt.Sprintf("%s:%d", at, peerConnections), "169.254.170.2:80"} {
		friend := start(t, c, define([]string{"app", "dial " + target}), scheduler.RunOptions{})
		wait(t, friend)
		got := output(t, friend, "app")
		hostiletest.Report(t, "a task keeps its neighbours from "+target, !strings.Contains(got, "connected"), fmt.Sprintf("%q", got))
	}
	for _, run := range []*scheduler.Run{attacker, peer} {
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		wait(t, run)
	}
}
