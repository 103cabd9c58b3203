package scheduler

import (
	"strconv"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// platformVersion is what LATEST means (ECS).
const platformVersion = "1.4.0"

// defaultStorage is the size of a Fargate task's disk whose definition names none, in GiB (ECS). It is told; whether it is
// enforced says Config.EnforceDefaultStorage.
const defaultStorage = 20

// recordBuilder makes the first record of a task.
type recordBuilder struct {
	cfg  Config
	net  network.State
	def  *task.TaskDefinition // with overrides
	o    RunOptions
	id   string
	size task.Size
	eni  network.ENI
	now  time.Time
}

func (b *recordBuilder) task() task.Task {
	scope := b.cfg.scope()
	t := task.Task{
		TaskARN:              scope.Task(b.cfg.Name, b.id).String(),
		ClusterARN:           scope.Cluster(b.cfg.Name).String(),
		TaskDefinitionARN:    b.def.TaskDefinitionARN,
		LaunchType:           b.o.launchType(),
		AvailabilityZone:     b.zone(),
		LastStatus:           task.Provisioning,
		DesiredStatus:        task.Running,
		HealthStatus:         task.HealthUnknown,
		Version:              1,
		Group:                b.o.Group,
		StartedBy:            b.o.StartedBy,
		CPU:                  strconv.FormatInt(int64(b.size.CPU), 10),
		Memory:               strconv.FormatInt(int64(b.size.Memory), 10),
		Overrides:            b.o.Overrides,
		Tags:                 b.tags(),
		EnableExecuteCommand: b.o.EnableExecuteCommand,
		Connectivity:         "CONNECTED",
		ConnectivityAt:       b.now,
		CreatedAt:            b.now,
	}
	if b.eni.ID != "" {
		t.Attachments = append(t.Attachments, b.attachment())
	}
	for _, v := range b.o.VolumeConfigurations {
		t.Attachments = append(t.Attachments, b.volumeAttachment(v))
	}
	t.EphemeralStorage = b.def.EphemeralStorage
	if t.Group == "" {
		t.Group = "family:" + b.def.Family
	}
	if t.LaunchType == task.LaunchTypeFargate {
		t.PlatformFamily, t.PlatformVersion = "Linux", b.o.PlatformVersion
		if t.PlatformVersion == "" || t.PlatformVersion == "LATEST" {
			t.PlatformVersion = platformVersion
		}
		t.FargateEphemeralStorage = &task.TaskEphemeralStorage{SizeInGiB: defaultStorage}
		if e := b.def.EphemeralStorage; e != nil {
			t.FargateEphemeralStorage.SizeInGiB = e.SizeInGiB
		} else if b.cfg.EnforceDefaultStorage { // noted, so that the task keeps it when the setting changes
			t.EphemeralStorage = &task.EphemeralStorage{SizeInGiB: defaultStorage}
		}
	}
	for i := range b.def.ContainerDefinitions {
		t.Containers = append(t.Containers, b.container(t.TaskARN, i))
	}
	return t
}

func (b *recordBuilder) container(taskARN string, i int) task.Container {
	d := &b.def.ContainerDefinitions[i]
	c := task.Container{
		ContainerARN: b.cfg.scope().Container(b.cfg.Name, b.id, uuid(b.id, d.Name)).String(),
		TaskARN:      taskARN,
		Name:         d.Name,
		Image:        d.Image,
		RuntimeID:    engine.RuntimeID(b.id, i),
		LastStatus:   task.ContainerPending,
		HealthStatus: task.HealthUnknown,
		CPU:          strconv.FormatInt(int64(d.CPU), 10),
	}
	if b.eni.ID != "" && !d.DisableNetworking {
		c.NetworkInterfaces = []task.NetworkInterface{{
			AttachmentID: uuid(b.id, "eni"), PrivateIPv4Address: b.eni.PrivateIPv4.String(),
		}}
	}
	if b.eni.IPv6.IsValid() {
		c.NetworkInterfaces[0].IPv6Address = b.eni.IPv6.String()
	}
	if d.Memory > 0 {
		c.Memory = strconv.FormatInt(int64(d.Memory), 10)
	}
	if d.MemoryReservation > 0 {
		c.MemoryReservation = strconv.FormatInt(int64(d.MemoryReservation), 10)
	}
	return c
}

// attachment is the interface as DescribeTasks shows it. Neither the public address nor that of IPv6 is in it (ECS).
func (b *recordBuilder) attachment() task.Attachment {
	return task.Attachment{
		ID: uuid(b.id, "eni"), Type: task.AttachmentENI, Status: task.AttachmentPrecreated,
		Details: []task.KeyValuePair{
			{Name: "subnetId", Value: b.eni.Subnet},
			{Name: "networkInterfaceId", Value: b.eni.ID},
			{Name: "macAddress", Value: b.eni.MAC.String()},
			{Name: "privateDnsName", Value: network.PrivateDNSName(b.cfg.Region, b.eni.PrivateIPv4)},
			{Name: "privateIPv4Address", Value: b.eni.PrivateIPv4.String()},
		},
	}
}

func (b *recordBuilder) volumeAttachment(v task.VolumeConfiguration) task.Attachment {
	return task.Attachment{
		ID: uuid(b.id, "volume/"+v.Name), Type: task.AttachmentEBS, Status: task.AttachmentPrecreated,
		Details: []task.KeyValuePair{
			{Name: "roleArn", Value: v.ManagedEBSVolume.RoleARN},
			{Name: "volumeName", Value: v.Name},
			{Name: "deleteOnTermination", Value: strconv.FormatBool(!v.Keeps())},
			{Name: "volumeId", Value: network.NewID("vol", b.id+"/"+v.Name)},
		},
	}
}

// zone is that of the task's subnet, and of one without a network the first of the region: that of the host, so to say.
func (b *recordBuilder) zone() string {
	if b.eni.ID == "" {
		return b.cfg.zones()[0]
	}
	for _, s := range b.net.Subnets {
		if s.ID == b.eni.Subnet {
			return s.AvailabilityZone
		}
	}
	return ""
}

// tags are the call's, and the definition's where the call has no such key.
func (b *recordBuilder) tags() []task.Tag {
	tags := append([]task.Tag(nil), b.o.Tags...)
	if !b.o.PropagateTags {
		return tags
	}
	have := map[string]bool{}
	for _, t := range tags {
		have[t.Key] = true
	}
	for _, t := range b.def.Tags {
		if !have[t.Key] {
			tags = append(tags, t)
		}
	}
	return tags
}

// uuid derives an ID in the form of a UUID from a task and a name, the same every time.
func uuid(taskID, name string) string {
	h := sum([]byte(taskID + "/" + name))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}
