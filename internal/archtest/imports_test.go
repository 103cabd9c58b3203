package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// model are the packages that hold data and rules. They import the standard library only, and of it nothing that does
// I/O, and start no goroutine: a bug in a rule must be found by a test without root, clock or network.
var model = []string{"task", "network", "policy"}

// row says which packages of this repository a package may import.
type row struct {
	pkg string
	may []string // a path ending in /... is everything below too
	why string   // it may not import more
}

// table is the picture of ARCHITECTURE.md. It is about library code: tests may import anything that compiles. A package
// that stands in no row fails; give it one.
var table = []row{
	{"task", nil, "the model of a task is rules and data that every other package may use"},
	{"network", nil, "the model of a VPC is rules and data that every other package may use"},
	{"policy", nil, "a decision is a pure function of documents and a request"},

	{"runtime", []string{"task"}, "the engine's view of a container runtime knows no runtime"},
	{"runtime/oci", []string{"runtime", "task"}, "a spec is translated without knowing who runs it"},
	{"runtime/logs", []string{"runtime", "task"}, "log drivers take output from whatever runtime kept it"},
	{"runtime/logs/logstest", nil, "a peer that shares no code with what it tests"},
	{"runtime/image", []string{"runtime"}, "an image is bytes, whoever runs it"},
	{"runtime/containerd", []string{"runtime", "runtime/oci", "internal/apparmor", "internal/cgroup", "internal/filelock", "internal/ociversion", "internal/rmtree", "internal/spool", "internal/userns"}, "a backend knows the interface that it implements and its own library, not who calls it"},
	{"runtime/fake", []string{"runtime", "runtime/image"}, "a backend knows the interface that it implements, not who calls it"},
	{"runtime/runtimetest", []string{"runtime", "task", "runtime/image", "runtime/runtimetest/guest"}, "the suite knows the interface and no backend"},
	{"runtime/runtimetest/guest", nil, "what runs in the suite's containers is small and links nothing of the host"},
	{"runtime/runtimetest/guest/static", []string{"runtime/runtimetest/guest"}, "as above, as a program"},

	{"policy/audit", []string{"policy"}, "a decision is recorded whoever made it"},
	{"policy/authz", []string{"policy", "policy/audit"}, "an action is authorized without knowing whose verb it is"},
	{"policy/sts", []string{"policy"}, "who has which permissions is decided by policies, whoever runs the tasks"},
	{"policy/credentials", []string{"policy", "policy/sts", "internal/ratelimit"}, "the endpoint answers whoever asks, whoever runs the tasks"},
	{"policy/sigv4", []string{"policy"}, "a signature is verified whoever issued the key"},
	{"policy/policytest", []string{"policy"}, "the corpus is for every implementation of the decision"},

	{"network/linux", []string{"network", "internal/keylock", "internal/userns"}, "a backend knows the interface that it implements, not who calls it"},
	{"network/cni", []string{"network", "internal/keylock"}, "a backend knows the interface that it implements, not who calls it"},
	{"network/dns", []string{"network"}, "it serves any fabric that can listen, and knows no backend"},
	{"network/flowlog", []string{"network"}, "records are made of what others saw, whoever they are"},
	{"network/fake", []string{"network"}, "a backend knows the interface that it implements, not who calls it"},
	{"network/networktest", []string{"network", "network/networktest/scenario"}, "the suite knows the interface and no backend"},
	{"network/networktest/scenario", []string{"network"}, "random states are for every implementation of the model"},

	{"task/metadata", []string{"task", "internal/ratelimit"}, "the endpoint answers from records, whoever runs the tasks"},
	{"task/secrets", []string{"task"}, "a secret is had from anywhere, whoever runs the tasks"},
	{"task/volumes", []string{"task", "internal/rmtree"}, "storage is had from anywhere, whoever runs the tasks"},
	{"task/engine", []string{"task", "task/metadata", "task/secrets", "task/volumes", "runtime", "runtime/logs", "network", "policy", "internal/rmtree"}, "the engine runs tasks on whatever implements the interfaces, and reads no store"},

	{"scheduler", []string{"task", "task/engine", "task/metadata", "task/secrets", "task/volumes", "runtime", "runtime/logs", "network", "policy", "policy/authz", "scheduler/store"}, "the scheduler must run on fakes, so it chooses no backend"},
	{"scheduler/store", nil, "a store keeps keys and values and knows nothing of tasks"},
	{"scheduler/store/bolt", []string{"scheduler/store"}, "a store knows the interface that it implements"},
	{"scheduler/store/storetest", []string{"scheduler/store"}, "the suite knows the interface and no store"},
	{"scheduler/local", []string{"task/...", "runtime/...", "network/...", "policy/...", "scheduler/...", "internal/userns"}, "the one library package that chooses backends; nothing may depend on examples or test helpers"},

	{"internal/apparmor", nil, "the kernel's profiles, whoever's containers they are"},
	{"internal/cgroup", []string{"runtime", "internal/filelock"}, "the kernel's files, whoever's containers they are"},
	{"internal/filelock", nil, "a lock knows nothing of what it guards"},
	{"internal/keylock", nil, "a lock knows nothing of what it guards"},
	{"internal/ociversion", nil, "what is published of OCI runtimes, whoever starts them"},
	{"internal/ociversion/find", []string{"internal/ociversion"}, "as above, for the set-up"},
	{"internal/ratelimit", nil, "who is limited is the caller's to say"},
	{"internal/userns", nil, "namespaces and IDs of the kernel, whoever's tasks they are"},
	{"internal/rmtree", nil, "directories to remove, whoever made them"},
	{"internal/spool", []string{"runtime"}, "the files between the process that copies a container's output and those that read it"},
	{"internal/lane", nil, "every test imports it"},
	{"internal/leaktest", []string{"internal/lane"}, "every test imports it"},
	{"internal/hostiletest", nil, "every test of an attack imports it"},
	{"internal/archtest", nil, "it reads the others as text"},
	{"internal/bench/...", []string{"task/...", "runtime/...", "network/...", "policy/...", "scheduler/...", "internal/cgroup"}, "it measures what a user can use"},
	{"internal/vm", nil, "it brings up a machine and runs the tests of the others there, as programs"},
	{".", nil, "the root is documentation"},
	{"examples/...", []string{"task/...", "runtime/...", "network/...", "policy/...", "scheduler/..."}, "an example uses what its reader can import"},
}

// importers are the packages that import a module of others. One each, so that a module can be replaced, and its
// errors and types stop at one border.
type importers struct {
	module string
	pkgs   []string
	why    string // it is used, and by more than one package if it is
}

const testsOnly = "(tests)"

var modules = []importers{
	{"github.com/containerd/containerd/v2", []string{"runtime/containerd"}, "the container runtime"},
	{"github.com/containerd/containerd/api", []string{"runtime/containerd"}, "its wire types"},
	{"github.com/containerd/errdefs", []string{"runtime/containerd"}, "its errors"},
	{"github.com/containerd/errdefs/pkg", []string{"runtime/containerd"}, "its errors on the wire"},
	{"github.com/containerd/log", []string{"runtime/containerd"}, "its logger, to silence it"},
	{"github.com/containerd/platforms", []string{"runtime/containerd"}, "which variant of an image to take"},
	{"github.com/containerd/ttrpc", []string{"runtime/containerd"}, "how it talks to shims"},
	{"github.com/containerd/typeurl/v2", []string{"runtime/containerd"}, "its any type"},
	{"github.com/sirupsen/logrus", []string{"runtime/containerd"}, "what its logger is made of, to silence it"},
	{"google.golang.org/protobuf", []string{"runtime/containerd"}, "its any type"},
	{"golang.org/x/sync", []string{"runtime/containerd"}, "groups of goroutines, in its run.go"},
	{"github.com/moby/sys/mountinfo", []string{"runtime/containerd"}, "which mounts a crash left"},
	{"github.com/moby/sys/userns", []string{"runtime/containerd"}, "whether layers can have whiteouts here"},
	{"github.com/klauspost/compress", []string{"runtime/containerd"}, "Zstandard with a bound on memory"},

	{"go.etcd.io/bbolt", []string{"scheduler/store/bolt", "runtime/containerd"}, "the state of a cluster in one file; and the image metadata of containerd's library, which takes a bbolt file"},

	{"github.com/opencontainers/runtime-spec", []string{"runtime/oci", "runtime/containerd"}, "the language between the translation of specs and those who run them"},
	{"github.com/opencontainers/image-spec", []string{"runtime/image", "runtime/containerd"}, "the language between images and those who unpack them"},
	{"github.com/opencontainers/go-digest", []string{"runtime/containerd"}, "its names of contents"},
	{"github.com/moby/profiles/seccomp", []string{"runtime/oci"}, "Docker's system call filter, which Fargate's is"},

	{"github.com/google/nftables", []string{"network/linux"}, "packet filter"},
	{"github.com/mdlayher/netlink", []string{"network/linux"}, "the socket under nftables, to set its limits"},
	{"github.com/containernetworking/cni", []string{"network/cni"}, "the plugins of others, and their configuration"},
	{"github.com/miekg/dns", []string{"network/dns"}, "messages of DNS on the wire"},
	{"github.com/vishvananda/netlink", []string{"network/linux"}, "links, addresses and routes"},
	{"golang.org/x/sys", []string{"network/linux", "network/cni", "runtime/containerd", "internal/cgroup", "internal/userns", "internal/bench/launch", "internal/bench/network"}, "system calls that the standard library has not"},

	{"github.com/aws/aws-sdk-go-v2", []string{testsOnly, "examples/roles"}, "requests as programs in tasks make them"},
	{"github.com/aws/aws-sdk-go-v2/config", []string{testsOnly, "examples/roles"}, "how programs in tasks come to their credentials"},
	{"github.com/aws/aws-sdk-go-v2/credentials", []string{testsOnly}, "as above"},
	{"github.com/brunoscheufler/aws-ecs-metadata-go", []string{testsOnly}, "what OpenTelemetry's detector of ECS reads metadata with"},
	{"github.com/google/go-cmp", []string{testsOnly, "runtime/runtimetest", "scheduler/store/storetest", "network/networktest"}, "differences in tests, and in suites that are tests"},
	{"github.com/google/go-containerregistry", []string{testsOnly}, "a registry to pull from"},
}

func TestImportTable(t *testing.T) {
	said := map[string]bool{}
	for _, f := range load(t) {
		if f.test {
			continue
		}
		for _, finding := range checkImports(f) {
			if !said[finding] {
				t.Error(finding)
			}
			said[finding] = true
		}
	}
}

// checkImports holds a file's imports against the table.
func checkImports(f *file) (findings []string) {
	i := slices.IndexFunc(table, func(r row) bool { return covers(r.pkg, f.dir()) })
	if i < 0 {
		return []string{fmt.Sprintf("package %s is in no row of the import table: add one, with its reason", f.dir())}
	}
	r := table[i]
	for _, p := range f.imports() {
		switch local, ours := strings.CutPrefix(p, module+"/"); {
		case ours && !slices.ContainsFunc(r.may, func(pattern string) bool { return covers(pattern, local) }):
			findings = append(findings, fmt.Sprintf("%s imports %s, but %s", f.path, local, r.why))
		case !ours && !standard(p) && slices.Contains(model, r.pkg):
			findings = append(findings, fmt.Sprintf("%s imports %s, but model packages import the standard library only", f.path, p))
		}
	}
	return findings
}

// covers reports whether a pattern of the table is about a package.
func covers(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(pkg, dir)
	}
	return pattern == pkg
}

func TestModulesHaveOneImporter(t *testing.T) {
	have := required(t)
	used := map[string]bool{}
	for _, f := range load(t) {
		for _, p := range f.imports() {
			if standard(p) || p == module || strings.HasPrefix(p, module+"/") {
				continue
			}
			m := moduleOf(p, have)
			used[m] = true
			if finding := checkModule(f, m); finding != "" {
				t.Error(finding)
			}
		}
	}
	for _, m := range modules {
		if _, ok := have[m.module]; ok && !used[m.module] {
			t.Errorf("nothing imports %s: take it from this list and from go.mod", m.module)
		}
	}
}

// checkModule reports a file that imports a module which is another package's.
func checkModule(f *file, m string) string {
	i := slices.IndexFunc(modules, func(x importers) bool { return x.module == m })
	switch {
	case i < 0:
		return fmt.Sprintf("%s imports module %q, which is not in the list: does the project need it? Add it with its importer and the reason", f.path, m)
	case f.test, slices.Contains(modules[i].pkgs, f.dir()):
		return ""
	}
	return fmt.Sprintf("%s imports %s, whose one importer is %s (%s)", f.path, m, strings.Join(modules[i].pkgs, ", "), modules[i].why)
}

func TestImportRulesCanFail(t *testing.T) {
	for _, c := range []struct{ path, imports, want string }{
		{"task/x.go", "strings", ""},
		{"task/x.go", module + "/network", "task/x.go imports network"},
		{"task/x.go", "golang.org/x/sync/errgroup", "standard library only"},
		{"task/new/x.go", "strings", "in no row"},
		{"runtime/oci/x.go", module + "/runtime", ""},
		{"scheduler/x.go", module + "/network/linux", "chooses no backend"},
		{"scheduler/local/x.go", module + "/network/linux", ""},
		{"scheduler/local/x.go", module + "/internal/leaktest", "test helpers"},
		{"examples/one/x.go", module + "/scheduler/local", ""},
	} {
		got := strings.Join(checkImports(parse(t, c.path, fmt.Sprintf("package x\nimport %q\n", c.imports))), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s: %q, want %q", c.path, c.imports, got, c.want)
		}
	}
	for _, c := range []struct{ path, module, want string }{
		{"scheduler/store/bolt/x.go", "go.etcd.io/bbolt", ""},
		{"scheduler/x.go", "go.etcd.io/bbolt", "whose one importer"},
		{"scheduler/x_test.go", "go.etcd.io/bbolt", ""},
		{"scheduler/x.go", "example.com/new", "not in the list"},
		{"scheduler/x_test.go", "example.com/new", "not in the list"},
	} {
		got := checkModule(parse(t, c.path, "package x\n"), c.module)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s: %q, want %q", c.path, c.module, got, c.want)
		}
	}
	if got := moduleOf("github.com/containerd/errdefs/pkg/errgrpc", required(t)); got != "github.com/containerd/errdefs/pkg" {
		t.Errorf("errgrpc is of module %q", got)
	}
}
