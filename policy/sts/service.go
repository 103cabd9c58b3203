package sts

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// Config is what a service works with. The zero value is useful.
type Config struct {
	Account   string // twelve digits; "" is "000000000000"
	Partition string // in ARNs; "" is "aws"

	// Directory takes the policies of roles and users, and decides. Nil is a new one.
	Directory *policy.Directory

	// Store keeps what must survive a restart. Nil is a [MemoryStore]: all credentials end with the process.
	Store Store

	Now func() time.Time // nil is time.Now
}

// Service holds roles and users, issues credentials and knows whose they are. All methods are safe for concurrent use.
type Service struct {
	cfg   Config
	dir   *policy.Directory
	keys  *keyring
	cache *identityCache

	issued atomic.Int64 // the latest IssuedAt of any credentials, in nanoseconds since 1970

	mu       sync.RWMutex // guards what follows
	state    state
	roles    map[string]*role // by name in lower case: IAM's names differ in more than case
	users    map[string]*user
	byID     map[string]*holder // roles and users, by unique ID
	policies map[string]string  // ARNs of those that this service put into the directory, by name in lower case
}

// Open returns a service with neither roles nor users. It reads the store, or writes a new key into an empty one.
func Open(cfg Config) (*Service, error) {
	if cfg.Account == "" {
		cfg.Account = "000000000000"
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if len(cfg.Account) != 12 || !consists(cfg.Account, digits) {
		return nil, fmt.Errorf("sts: Config.Account %q must be 12 digits", cfg.Account)
	}
	if !consists(cfg.Partition, letters+digits+"-") {
		return nil, fmt.Errorf("sts: Config.Partition %q must be letters, digits and -", cfg.Partition)
	}
	if cfg.Directory == nil {
		cfg.Directory = &policy.Directory{}
	}
	if cfg.Store == nil {
		cfg.Store = &MemoryStore{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	st, keys, err := loadState(cfg.Store)
	if err != nil {
		return nil, err
	}
	return &Service{
		cfg: cfg, dir: cfg.Directory, keys: keys, cache: newIdentityCache(), state: st,
		roles: map[string]*role{}, users: map[string]*user{}, byID: map[string]*holder{}, policies: map[string]string{},
	}, nil
}

// Account is the account that the service's roles and users belong to.
func (s *Service) Account() string { return s.cfg.Account }

// Directory is where the policies of roles and users are, for deciding requests in other ways than [Service.Decide] and
// for policies of resources and of the account. What the service attaches there is its own to change.
func (s *Service) Directory() *policy.Directory { return s.dir }

// String names the service and shows nothing of its state.
func (s *Service) String() string { return "sts.Service(" + s.cfg.Account + ")" }

// Format prints what String returns, whatever the verb.
func (s *Service) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

func (s *Service) iamARN(resource string) string {
	return "arn:" + s.cfg.Partition + ":iam::" + s.cfg.Account + ":" + resource
}

func (s *Service) stsARN(resource string) string {
	return "arn:" + s.cfg.Partition + ":sts::" + s.cfg.Account + ":" + resource
}
