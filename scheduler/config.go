package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
	"github.com/fardel-io/fardel/task/secrets"
	"github.com/fardel-io/fardel/task/volumes"
)

// Config is what a cluster is made of. Store, Driver and Fabric stay the caller's: the cluster does not close them.
type Config struct {
	Store  store.Store    // required
	Driver runtime.Driver // required
	Fabric network.Fabric // required

	// Dir is where the files and logs of tasks are kept. "" is for drivers that keep everything in memory.
	Dir string

	Name    string // of the cluster; "" is "default"
	Region  string // in ARNs and host names; "" is "us-east-1"
	Account string // 12 digits, in ARNs; "" is "000000000000"

	// Network is the cluster's VPCs, subnets, security groups and routes, without ENIs. If it has no VPC, the cluster
	// keeps the network of its last run, and starts with a default VPC such as every AWS account has: 172.31.0.0/16, a
	// subnet for each of three availability zones, a security group that lets its members reach each other and
	// everything outside, and an internet gateway.
	Network network.State

	// Namespaces are the private DNS namespaces of Cloud Map that tasks can be found in, and Names makes them known, such
	// as the name servers of scheduler/local. Without Names there can be none.
	Namespaces []Namespace
	Names      Names

	// DefaultCIDR chooses the address range of the default VPC when it is made. Nil is 172.31.0.0/16.
	DefaultCIDR func() (netip.Prefix, error)

	// MaxTask is the size of the largest task that can run here, and Capacity what all tasks together may reserve. A 0
	// in either is no limit. A task beyond them is refused with a [*PlacementError].
	MaxTask  task.Size
	Capacity task.Size

	// Authorizer is asked before every verb. Nil allows everything, and an Authorizer of policy/authz decides by IAM policies.
	Authorizer Authorizer

	// Secrets has the values of secrets, and the credentials that repositoryCredentials name, such as a
	// secrets.Directory. Nil refuses definitions that use them. Authorizer is asked in the name of the execution role.
	Secrets secrets.Provider

	// EnvironmentFiles has the objects of environmentFiles, such as secrets.Buckets. Nil refuses definitions that use
	// them. Authorizer is asked in the name of the execution role.
	EnvironmentFiles secrets.ObjectStore

	// RegistryCredentials resolves repositoryCredentials.credentialsParameter of a container, a secret's ARN or name,
	// in place of Secrets.
	RegistryCredentials func(ctx context.Context, parameter string) (runtime.Credentials, error)

	// RegistryAuth has the credentials for a registry, by host, such as an ECR token that is good for twelve hours. It is
	// asked before a pull of an image whose container has no repositoryCredentials, so it should remember its answers. Nil
	// credentials, and a nil function, leave it to the driver's configuration.
	RegistryAuth func(ctx context.Context, registry string) (*runtime.Credentials, error)

	// TaskCredentials serves the credentials of task roles to tasks, at /v1/credentials and /v2/credentials/ of
	// 169.254.170.2; see engine.Config. Nil serves none.
	TaskCredentials http.Handler

	// Volumes provides the storage of EFS, FSx, S3 Files and EBS volumes and of shared Docker volumes, such as a
	// volumes.Directory. Nil refuses definitions that have one.
	Volumes volumes.Provider

	// TaskCaller is the session that a task has of a role, both named by ARN, or why it can have none. Run refuses a task
	// with a task role that it can have no session of ([ErrRole]), and in the session's name Authorizer is asked what
	// the cluster does for the task: with the execution role before a secret or an environment file is had. Nil is that
	// every role can be assumed. It must not block for long.
	TaskCaller func(roleARN, taskARN string) (policy.Caller, error)

	// PullBehavior says when a registry is asked for an image, as ECS_IMAGE_PULL_BEHAVIOR does. "" is prefer-cached: only
	// when the image is not on this machine.
	PullBehavior engine.PullBehavior

	// LogSink is where the log driver awslogs delivers to, such as a logs.FileSink. Nil delivers nowhere: what the cluster
	// itself keeps of every container's output is read with [Run.Logs] all the same.
	LogSink logs.Sink

	// DefaultLogDriverMode is of log configurations without "mode", "blocking" or "non-blocking": the account setting
	// defaultLogDriverMode. "" is "non-blocking", as in ECS since June 2025.
	DefaultLogDriverMode string

	// EnforceDefaultStorage gives every Fargate task a disk of its own, of 20 GiB if its definition asks for no size (ECS), so
	// that no task can fill the file system of Dir beyond that. Otherwise only those whose definition has ephemeralStorage
	// get one. To make a disk and mount it adds some 50 ms or more to a launch. Tasks with a disk are told at the metadata
	// endpoint how much of it is used, EphemeralStorageMetrics; for others that would take reading all their directories.
	EnforceDefaultStorage bool

	// NoNewPrivileges has no program of a task gain privileges: what set-user-ID and file capabilities would give is not
	// given. What has no such programs does not notice; sudo, su and the ping of some images cannot. DropNetRaw takes the
	// capability NET_RAW from all containers, which have it by default (ECS): with it a container sends any packet its address
	// allows, and overhears what passes its interface. A definition that adds it, or is privileged, is refused. Both are for
	// tasks that are run from then on.
	NoNewPrivileges bool
	DropNetRaw      bool

	// LogLimit is how many bytes of each container's output are kept here, the oldest being dropped; in mode "blocking" a
	// container waits that is so far ahead of its log driver. 0 is 32 MiB, and less than 256 KiB counts as that.
	LogLimit int64

	// ImageCache is how much images may take that were pulled. The zero value keeps them all.
	ImageCache engine.ImageCache

	// PullProgress is told how far the pull of a task's image is. It must not block. Nil is for nobody.
	PullProgress func(taskARN string, p runtime.PullProgress)

	// Retention is how long a stopped task can still be described and its logs be read. 0 is one hour, as in ECS.
	Retention time.Duration

	Logger *slog.Logger // nil discards
}

func (c Config) confinement() engine.Confinement {
	return engine.Confinement{NoNewPrivileges: c.NoNewPrivileges, DropNetRaw: c.DropNetRaw}
}

// Defaults of Config.
const (
	DefaultName      = "default"
	DefaultRegion    = "us-east-1"
	DefaultAccount   = "000000000000"
	DefaultRetention = time.Hour
)

// awsCIDR is the address range of AWS's default VPCs.
func awsCIDR() (netip.Prefix, error) { return netip.ParsePrefix("172.31.0.0/16") }

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// consists reports whether s is min to max of the given characters. It stands for regular expressions, which would be
// compiled at every start of a program that imports this package, and with it at every start of its shims.
func consists(s string, min, max int, of string) bool {
	return len(s) >= min && len(s) <= max && strings.Trim(s, of) == ""
}

// withDefaults checks c and fills in what it leaves out.
func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	if c.Account == "" {
		c.Account = DefaultAccount
	}
	if c.Retention == 0 {
		c.Retention = DefaultRetention
	}
	if c.DefaultCIDR == nil {
		c.DefaultCIDR = awsCIDR
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("scheduler: Config."+format, args...))
		}
	}
	check(c.Store != nil, "Store is required")
	check(c.Driver != nil, "Driver is required")
	check(c.Fabric != nil, "Fabric is required")
	check(consists(c.Name, 1, 255, letters+digits+"-_"), "Name %q must be 1 to 255 letters, digits, - and _", c.Name)
	check(consists(c.Account, 12, 12, digits), "Account %q must be 12 digits", c.Account)
	check(consists(c.Region, 1, 63, lower+digits+"-"), "Region %q must look like %q", c.Region, DefaultRegion)
	check(c.Retention > 0, "Retention %v must not be negative", c.Retention)
	modes := []string{"", logs.ModeBlocking, logs.ModeNonBlocking}
	check(slices.Contains(modes, c.DefaultLogDriverMode), "DefaultLogDriverMode %q must be blocking or non-blocking", c.DefaultLogDriverMode)
	check(c.LogLimit >= 0, "LogLimit %d must not be negative", c.LogLimit)
	check(len(c.Network.ENIs) == 0, "Network must have no ENIs: tasks bring their own")
	if len(c.Network.VPCs) > 0 {
		if err := network.Validate(c.Network); err != nil {
			errs = append(errs, fmt.Errorf("scheduler: Config.Network: %w", err))
		}
	}
	errs = append(errs, c.checkNamespaces())
	return c, errors.Join(errs...)
}

// zones are the availability zones of the default VPC.
func (c Config) zones() []string { return []string{c.Region + "a", c.Region + "b", c.Region + "c"} }

// scope is where the cluster's ARNs belong.
func (c Config) scope() task.Scope { return task.Scope{Region: c.Region, Account: c.Account} }

// clusterARN is the ARN of the cluster.
func (c Config) clusterARN() string { return c.scope().Cluster(c.Name).String() }
