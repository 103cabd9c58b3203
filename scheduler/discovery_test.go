package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// nameBook is names that are known: what Names was told last.
type nameBook struct {
	mu    sync.Mutex
	known map[string][]scheduler.ServiceInstance // by service.namespace
}

func (b *nameBook) SetNamespace(n scheduler.Namespace, instances map[string][]scheduler.ServiceInstance) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil {
		b.known = map[string][]scheduler.ServiceInstance{}
	}
	for _, s := range n.Services {
		b.known[s.Name+"."+n.Name] = slices.Clone(instances[s.Name])
	}
	return nil
}

// find returns the instances of a service, each as "address:port".
func (b *nameBook) find(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []string{}
	for _, i := range b.known[name] {
		all = append(all, netip.AddrPortFrom(i.IPv4, i.Port).String())
	}
	slices.Sort(all)
	return all
}

func shop() []scheduler.Namespace {
	records := func(types ...string) (list []scheduler.DNSRecord) {
		for _, r := range types {
			list = append(list, scheduler.DNSRecord{Type: r, TTL: time.Second})
		}
		return list
	}
	return []scheduler.Namespace{
		{Name: "shop.local", Services: []scheduler.DiscoveryService{{Name: "web", Records: records("A", "SRV")}, {Name: "six", Records: records("AAAA")}}},
		{Name: "other.local", Services: []scheduler.DiscoveryService{{Name: "web", Records: records("A")}}},
	}
}

// TestDiscoveryFollowsHealth has a task in the names of its service, and no other, exactly while it is RUNNING and not UNHEALTHY.
func TestDiscoveryFollowsHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		book := &nameBook{}
		w.cfg.Namespaces, w.cfg.Names = shop(), book
		var healthy atomic.Bool
		healthy.Store(true)
		var atStop atomic.Value // what was known when the task was asked to stop
		w.drive.Images["serve"] = fake.Image{
			Main: func(ctx context.Context, p *fake.Process) int {
				select {
				case <-p.Notify(fake.SIGTERM):
					atStop.Store(fmt.Sprint(book.find("web.shop.local"), book.find("web.other.local")))
				case <-ctx.Done():
				}
				return 0
			},
			Programs: map[string]fake.Program{"probe": func(context.Context, *fake.Process) int {
				if healthy.Load() {
					return 0
				}
				return 1
			}},
		}
		c := w.open()
		defer w.end()
		def := define("app serve")
		def.ContainerDefinitions[0].HealthCheck = &task.HealthCheck{Command: []string{"CMD", "probe"}, Interval: 10, Retries: 2}
		def.ContainerDefinitions[0].PortMappings = []task.PortMapping{{ContainerPort: 8080}}
		run := mustRun(t, c, def, scheduler.RunOptions{ServiceRegistries: []scheduler.ServiceRegistry{
			{RegistryARN: c.RegistryARN("shop.local", "web"), ContainerName: "app", ContainerPort: 8080},
		}})
		if got := book.find("web.shop.local"); len(got) > 0 {
			t.Errorf("before it is RUNNING it is found at %v", got)
		}
		got, err := run.WaitRunning(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		addr := got.Attachments[0].Detail("privateIPv4Address")
		expect := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			web := []string{}
			if want {
				web = []string{addr + ":8080"}
			}
			if diff := cmp.Diff([][]string{web, {}}, [][]string{book.find("web.shop.local"), book.find("web.other.local")}); diff != "" {
				t.Errorf("%s: -want +got\n%s", when, diff)
			}
		}
		expect("RUNNING, health unknown", true)
		<-time.After(11 * time.Second)
		expect("HEALTHY", true)
		healthy.Store(false)
		<-time.After(21 * time.Second)
		expect("UNHEALTHY", false)
		_ = c.Close()
		book.known = nil
		c = w.open()
		if run, err = c.Lookup(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		expect("UNHEALTHY after a restart", false)
		healthy.Store(true)
		<-time.After(11 * time.Second)
		expect("HEALTHY again", true)
		_ = c.Close()
		book.known = nil
		c = w.open()
		if run, err = c.Lookup(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		expect("after a restart", true)
		stopEach(t, run)
		if got := atStop.Load(); got != "[] []" {
			t.Errorf("when it was asked to stop it was found at %v", got)
		}
		expect("STOPPED", false)
	})
}

func TestDiscoveryRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Namespaces, w.cfg.Names = shop(), &nameBook{}
		c := w.open()
		defer w.end()
		web := c.RegistryARN("shop.local", "web")
		def := define("app serve")
		def.ContainerDefinitions[0].PortMappings = []task.PortMapping{{ContainerPort: 8080}}
		for name, tt := range map[string]struct {
			r    scheduler.ServiceRegistry
			want string
		}{
			"no such service": {scheduler.ServiceRegistry{RegistryARN: c.RegistryARN("shop.local", "db"), Port: 1}, "does not exist"},
			"SRV and no port": {scheduler.ServiceRegistry{RegistryARN: web}, "needs a port"},
			"SRV and both":    {scheduler.ServiceRegistry{RegistryARN: web, Port: 1, ContainerName: "app", ContainerPort: 8080}, "not both"},
			"no such port":    {scheduler.ServiceRegistry{RegistryARN: web, ContainerName: "app", ContainerPort: 81}, "did not have a container port 81"},
			"no such name":    {scheduler.ServiceRegistry{RegistryARN: web, ContainerName: "db", ContainerPort: 8080}, "container db"},
			"no IPv6":         {scheduler.ServiceRegistry{RegistryARN: c.RegistryARN("shop.local", "six")}, "assigns no IPv6"},
		} {
			_, err := c.Run(t.Context(), def, scheduler.RunOptions{ServiceRegistries: []scheduler.ServiceRegistry{tt.r}})
			if !errors.Is(err, scheduler.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want ErrInvalid with %q", name, err, tt.want)
			}
		}
		_, err := c.Run(t.Context(), def, scheduler.RunOptions{ServiceRegistries: []scheduler.ServiceRegistry{
			{RegistryARN: web, Port: 1}, {RegistryARN: c.RegistryARN("other.local", "web")}}})
		if !errors.Is(err, scheduler.ErrInvalid) || !strings.Contains(err.Error(), "serviceRegistries has 2 elements, and ECS allows 1") {
			t.Errorf("two registries: %v", err)
		}
		if tasks, err := c.List(t.Context(), scheduler.ListOptions{}); err != nil || len(tasks) > 0 {
			t.Errorf("what was refused left %v, %v", tasks, err)
		}
	})
	for name, change := range map[string]func(*scheduler.Config){
		"no Names":        func(cfg *scheduler.Config) { cfg.Names = nil },
		"two namespaces":  func(cfg *scheduler.Config) { cfg.Namespaces = append(cfg.Namespaces, cfg.Namespaces[0]) },
		"no record":       func(cfg *scheduler.Config) { cfg.Namespaces[0].Services[0].Records = nil },
		"a record of MX":  func(cfg *scheduler.Config) { cfg.Namespaces[0].Services[0].Records[0].Type = "MX" },
		"a nameless one":  func(cfg *scheduler.Config) { cfg.Namespaces[0].Services[0].Name = "" },
		"the same record": func(cfg *scheduler.Config) { cfg.Namespaces[0].Services[0].Records[0].Type = "SRV" },
	} {
		cfg := scheduler.Config{Namespaces: shop(), Names: &nameBook{}}
		change(&cfg)
		if _, err := scheduler.New(cfg); err == nil || !strings.Contains(err.Error(), "Config.Namespaces") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
