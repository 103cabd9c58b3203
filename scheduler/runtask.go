package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// RunOptions are the parameters of ECS's RunTask. Their zero value runs a definition on Fargate's terms in the default
// VPC.
type RunOptions struct {
	LaunchType task.LaunchType // "" is FARGATE

	// NetworkConfiguration is where the task's interface goes. Nil is the default subnets of the default VPC, its default
	// security group, and a public address if the subnet has MapPublicIPOnLaunch, as default ones have. A definition whose
	// network mode is none takes none.
	NetworkConfiguration *AWSVPCConfiguration

	Overrides            *task.TaskOverride // at most 8192 characters as JSON
	Group                string             // at most 255 characters; "" is "family:<family>"
	StartedBy            string             // at most 128 letters, digits, - _ and /
	Tags                 []task.Tag         // at most 50
	PropagateTags        bool               // the definition's tags are the task's, too
	EnableExecuteCommand bool               // Exec is allowed, but not where a container may trace; see task.KernelCapabilities
	PlatformVersion      string             // "LATEST", "1.4.0" or "1.3.0" on Fargate; "" is LATEST

	// VolumeConfigurations describe the volumes that the definition leaves to this call (configuredAtLaunch).
	VolumeConfigurations []task.VolumeConfiguration

	// ServiceRegistries makes the task an instance of a service of Config.Namespaces, one at most, as in ECS: it is found by
	// its name while it is RUNNING and not UNHEALTHY, and no more before it is asked to stop. ECS has this for services
	// only. A principal needs servicediscovery:RegisterInstance.
	ServiceRegistries []ServiceRegistry `json:",omitempty"`

	// PublishedPorts are ports of the machine that lead to the task, in the network mode awsvpc. ECS has none there: a
	// port mapping's hostPort is the container's own. A principal needs fardel:PublishPort, on "*". The call fails with a
	// [*PlacementError] if another task has one of them; a task whose port a process of the machine has does not start.
	PublishedPorts []network.PublishedPort `json:",omitempty"`

	// Bandwidth limits what the task's interface receives and sends. The zero value is no limit.
	Bandwidth network.Bandwidth `json:",omitzero"`

	// ClientToken makes the call repeatable: the same token with the same parameters returns the task that the first
	// call started, for 24 hours, and fails with [ErrConflict] with others. At most 64 printable ASCII characters.
	ClientToken string
}

// AWSVPCConfiguration is a task's place in the network.
type AWSVPCConfiguration struct {
	Subnets        []string // 1 to 16 IDs, of one VPC; the cluster chooses among them
	SecurityGroups []string // at most 5 IDs; none is the VPC's default group
	// AssignPublicIP is assignPublicIp ENABLED, and false is DISABLED, whatever the subnet says: without a public address
	// nothing outside the VPC can be reached but by a NAT gateway. The address is the task's own if the network has a
	// [network.PublicIPv4Pool], and released when the task ends; [Run.NetworkInterface] tells it. Else it is the machine's.
	AssignPublicIP bool
}

// Limits of RunTask (ECS).
const (
	maxSubnets        = 16
	maxSecurityGroups = 5
	maxGroup          = 255
	tokenLifetime     = 24 * time.Hour
)

// printable reports whether s has at most max characters, all of them ASCII 33 to 126.
func printable(s string, max int) bool {
	return len(s) <= max && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// Run starts a task and returns a handle to it as soon as it is recorded; what becomes of it is the handle's to say. A
// definition that is not registered is registered first, unless the newest revision of its family says the same.
//
// It fails at once, with nothing made or registered, with a [*task.ValidationError] or [*UnsupportedError] for a
// definition that can't be run, with a [*PlacementError] for a task that does not fit, and with [ErrInvalid],
// [ErrInactive], [ErrConflict], [ErrRole] or [ErrAccessDenied]. Cancelling ctx afterwards does not stop the task.
func (c *Cluster) Run(ctx context.Context, def *task.TaskDefinition, o RunOptions) (*Run, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	for {
		id, err := c.run(ctx, def, o)
		if !errors.Is(err, store.ErrConflict) { // else the family has a new revision, or the token a task
			return c.handle(id), err
		}
	}
}

// run does what Run does, in one attempt. It stores the definition, when it is new, together with the task, so that a
// failure leaves neither.
func (c *Cluster) run(ctx context.Context, given *task.TaskDefinition, o RunOptions) (id string, err error) {
	def, err := c.resolve(ctx, given)
	if err != nil {
		return "", err
	}
	effective, err := c.effective(def.Definition, o)
	if err != nil {
		return "", err
	}
	if id, err = newTaskID(); err != nil {
		return "", err
	}
	if err := c.authorizeRun(ctx, def, effective, o, id); err != nil {
		return "", err
	}
	request, err := requestDigest(def.Definition, o)
	if err != nil {
		return "", err
	}
	if started, err := c.tokenTask(ctx, o.ClientToken, request); started != "" || err != nil {
		return started, err
	}
	if err := c.checkRole(effective, id); err != nil {
		return "", err
	}
	c.placing.RLock()
	defer c.placing.RUnlock()
	rec, err := c.place(effective, o, id)
	if err != nil {
		return "", err
	}
	if err := c.createTask(ctx, rec, o.ClientToken, request, def.changes); err != nil {
		c.release(id)
		return "", err
	}
	return id, nil
}

// checkRole refuses a task whose role cannot be assumed for it.
func (c *core) checkRole(def *task.TaskDefinition, id string) error {
	if c.cfg.TaskCaller == nil || def.TaskRoleARN == "" {
		return nil
	}
	_, err := c.inRole(def.TaskRoleARN, c.cfg.scope().Task(c.cfg.Name, id).String())
	return err
}

// check refuses what ECS refuses.
func (o RunOptions) check() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
		}
	}
	types := []task.LaunchType{"", task.LaunchTypeFargate, task.LaunchTypeEC2, task.LaunchTypeExternal}
	check(slices.Contains(types, o.LaunchType), "launch type should be one of [EC2,FARGATE,EXTERNAL], not %q", o.LaunchType)
	versions := []string{"", "LATEST", "1.4.0", "1.3.0"}
	check(slices.Contains(versions, o.PlatformVersion), "platform version %q must be LATEST, 1.4.0 or 1.3.0", o.PlatformVersion)
	check(len(o.Group) <= maxGroup, "group has %d characters, at most %d are allowed", len(o.Group), maxGroup)
	check(consists(o.StartedBy, 0, 128, letters+digits+"/_-"), "startedBy %q must be at most 128 letters, digits, - _ and /", o.StartedBy)
	check(printable(o.ClientToken, 64), "client token %q must be at most 64 printable ASCII characters", o.ClientToken)
	if n := o.NetworkConfiguration; n != nil {
		// ECS: interfaces of tasks on EC2 never have one.
		check(!n.AssignPublicIP || o.launchType() == task.LaunchTypeFargate, "Assign public IP is not supported for this launch type.")
		check(len(n.Subnets) > 0, "subnets can not be empty.")
		check(len(n.Subnets) <= maxSubnets, "%d subnets, at most %d are allowed", len(n.Subnets), maxSubnets)
		check(len(n.SecurityGroups) <= maxSecurityGroups, "%d security groups, at most %d are allowed", len(n.SecurityGroups), maxSecurityGroups)
	}
	return errors.Join(errs...)
}

// effective is the definition that is run: with the overrides, and found runnable here.
func (c *core) effective(def *task.TaskDefinition, o RunOptions) (*task.TaskDefinition, error) {
	if def.Status != task.DefinitionActive {
		return nil, fmt.Errorf("%w: %s", ErrInactive, def.TaskDefinitionARN)
	}
	eff := def
	if o.Overrides != nil {
		var err error
		if eff, err = def.WithOverrides(*o.Overrides); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if err := eff.Validate(o.launchType()); err != nil {
		return nil, err
	}
	if problems := eff.CheckVolumeConfigurations(o.VolumeConfigurations, o.launchType()); len(problems) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, joined(problems))
	}
	problems := append(c.engine.Unsupported(eff), c.cfg.confinement().Unsupported(eff)...)
	if len(problems) > 0 {
		return nil, &UnsupportedError{Family: def.Family, Problems: problems}
	}
	size, err := reservationFor(eff)
	if err != nil {
		return nil, err
	}
	return eff, fits("the task", size, c.cfg.MaxTask)
}

// joined lists problems in one line.
func joined(problems []task.Problem) string {
	list := make([]string, len(problems))
	for i, p := range problems {
		list[i] = p.String()
	}
	return strings.Join(list, "; ")
}

func (o RunOptions) launchType() task.LaunchType {
	if o.LaunchType == "" {
		return task.LaunchTypeFargate
	}
	return o.LaunchType
}

// authorizeRun asks for everything that running a task implies, the registration of a new definition included.
func (c *Cluster) authorizeRun(ctx context.Context, def prepared, eff *task.TaskDefinition, o RunOptions, id string) error {
	if len(def.changes) > 0 {
		if err := c.authorizeRegister(ctx, def.Definition); err != nil {
			return err
		}
	}
	if err := c.authorize(ctx, "ecs:RunTask", def.Definition.TaskDefinitionARN, c.runConditions(def.Definition, eff, o)); err != nil {
		return err
	}
	if err := c.authorizeRoles(ctx, eff.TaskRoleARN, eff.ExecutionRoleARN); err != nil {
		return err
	}
	for _, r := range o.ServiceRegistries {
		if err := c.authorize(ctx, "servicediscovery:RegisterInstance", r.RegistryARN, nil); err != nil {
			return err
		}
	}
	for _, p := range o.PublishedPorts {
		k := conditions{"fardel:HostAddress": {p.HostAddress.String()}, "fardel:HostPort": {strconv.Itoa(int(p.HostPort))}}
		if err := c.authorize(ctx, "fardel:PublishPort", "*", k); err != nil {
			return err
		}
	}
	return c.authorizeTags(ctx, "RunTask", c.taskARN(id), o.Tags)
}

// runConditions are the condition keys of RunTask. The resource is the definition, so its tags are the resource's. ECS
// has the keys from ecs:task-cpu on for services only; here one policy can bound both.
func (c *Cluster) runConditions(def, eff *task.TaskDefinition, o RunOptions) conditions {
	k := c.onCluster()
	k.set("ecs:task-definition", def.TaskDefinitionARN)
	k.setBool("ecs:enable-execute-command", o.EnableExecuteCommand)
	k.resourceTags(def.Tags)
	k.requestTags(o.Tags)
	k.taskSize(eff)
	k.setBool("ecs:enable-ecs-managed-tags", false)
	k.set("ecs:propagate-tags", "NONE")
	if o.PropagateTags {
		k.set("ecs:propagate-tags", "TASK_DEFINITION")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	where, err := resolveNetwork(c.net, eff.NetworkMode, o.NetworkConfiguration)
	if err != nil && o.NetworkConfiguration != nil {
		where.AWSVPCConfiguration = *o.NetworkConfiguration // placement says what is wrong with it, to whoever may run the task
	}
	k.set("ecs:subnet", where.Subnets...)
	k.setBool("ecs:auto-assign-public-ip", where.AssignPublicIP)
	return k
}

// taskSize adds the keys about the size of a task: of its definition as a whole, where it says one.
func (k conditions) taskSize(def *task.TaskDefinition) {
	size, err := def.Size()
	if err != nil {
		return
	}
	if size.CPU > 0 {
		k.set("ecs:task-cpu", strconv.FormatInt(int64(size.CPU), 10))
	}
	if size.Memory > 0 {
		k.set("ecs:task-memory", strconv.FormatInt(int64(size.Memory), 10))
	}
}

// requestDigest identifies what a client token was used for.
func requestDigest(def *task.TaskDefinition, o RunOptions) (string, error) {
	data, err := json.Marshal(struct {
		Definition string
		Options    RunOptions
	}{def.TaskDefinitionARN, o})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return sum(data), nil
}

// tokenTask returns the task that a client token started, "" if there is none.
func (c *core) tokenTask(ctx context.Context, token, request string) (id string, err error) {
	if token == "" {
		return "", nil
	}
	var rec tokenRecord
	at, err := load(ctx, c.cfg.Store, prefixTokens+token, &rec)
	switch {
	case err != nil || at == 0 || time.Since(rec.At) > tokenLifetime:
		return "", err
	case rec.Request != request:
		return "", fmt.Errorf("%w: it started task %s", ErrConflict, rec.Task)
	}
	return rec.Task, nil
}

// place finds room and an address for a task, and returns its first record.
func (c *core) place(def *task.TaskDefinition, o RunOptions, id string) (taskRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	where, err := resolveNetwork(c.net, def.NetworkMode, o.NetworkConfiguration)
	if err != nil {
		return taskRecord{}, err
	}
	if where.ports = slices.Clone(o.PublishedPorts); def.NetworkMode != task.NetworkModeAWSVPC && (len(o.PublishedPorts) > 0 || o.Bandwidth != network.Bandwidth{}) {
		return taskRecord{}, fmt.Errorf("%w: published ports and a bandwidth take the network mode awsvpc, not %s", ErrInvalid, def.NetworkMode)
	}
	size, err := reservationFor(def)
	if err != nil {
		return taskRecord{}, err
	}
	registrations, err := c.names.register(def, o.ServiceRegistries)
	if err != nil {
		return taskRecord{}, err
	}
	r, err := c.ledger.reserve(id, size, where)
	if err != nil {
		return taskRecord{}, err
	}
	now := time.Now().UTC()
	var eni network.ENI
	if def.NetworkMode == task.NetworkModeAWSVPC {
		eni = network.ENI{
			ID: network.NewID("eni", id), Subnet: r.subnet, SecurityGroups: where.SecurityGroups, PrivateIPv4: r.addr, IPv6: r.ipv6,
			MAC: network.NewMAC(id), AssignPublicIP: r.isPublic, PublicIPv4: r.public, PublishedPorts: where.ports, Bandwidth: o.Bandwidth,
		}
		if err := network.ValidateENI(c.net, eni); err != nil {
			c.ledger.release(id)
			return taskRecord{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	b := recordBuilder{cfg: c.cfg, net: c.net, def: def, o: o, id: id, size: size, eni: eni, now: now}
	rec := taskRecord{Task: b.task(), ENI: eni, VolumeConfigurations: o.VolumeConfigurations, Registrations: registrations, Confinement: c.cfg.confinement()}
	subnet, _ := c.net.Subnet(eni.Subnet)
	if err := c.names.fits(&rec, subnet.VPC); err != nil {
		c.ledger.release(id)
		return taskRecord{}, err
	}
	return rec, nil
}

// createTask stores a new task, with the client token that asked for it and with what else is to change. It fails with
// store.ErrConflict when somebody else changed that first, or used the token.
func (c *core) createTask(ctx context.Context, rec taskRecord, token, request string, changes []store.Change) error {
	id := rec.Task.ID()
	created, err := put(prefixTasks+id, rec, 0)
	if err != nil {
		return err
	}
	changes = append(slices.Clip(changes), created)
	if token != "" {
		var old tokenRecord // one that is too old to count
		at, err := load(ctx, c.cfg.Store, prefixTokens+token, &old)
		if err != nil {
			return err
		}
		if at != 0 && time.Since(old.At) <= tokenLifetime {
			return store.ErrConflict
		}
		change, err := put(prefixTokens+token, tokenRecord{Task: id, Request: request, At: rec.Task.CreatedAt}, at)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	_, err = c.cfg.Store.Update(ctx, changes...)
	return err
}

// newTaskID returns an ID in the form of ECS's: 32 hexadecimal digits.
func newTaskID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("scheduler: make a task ID: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
