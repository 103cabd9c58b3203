package task

import (
	"fmt"
	"strings"
)

// ARN is an Amazon Resource Name, arn:partition:service:region:account:resource.
// Region and Account are empty for resources that have none.
type ARN struct {
	Partition string // aws, aws-cn, aws-us-gov, ...
	Service   string // ecs, iam, s3, ...
	Region    string
	Account   string
	Resource  string // everything after the fifth colon
}

// ParseARN splits an ARN into its parts. It wants the six parts, a partition, a
// service and a resource, and no control or space characters; the parts' own
// rules are their service's.
func ParseARN(s string) (ARN, error) {
	parts := strings.SplitN(s, ":", 6)
	if parts[0] != "arn" {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it must start with \"arn:\"", s)
	}
	if len(parts) < 6 {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it has %d of the 6 parts arn:partition:service:region:account:resource", s, len(parts))
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return ARN{}, fmt.Errorf("task: %q is not an ARN: it has a space or control character at %d", s, i)
	}
	a := ARN{parts[1], parts[2], parts[3], parts[4], parts[5]}
	for _, p := range []struct{ name, value string }{
		{"partition", a.Partition}, {"service", a.Service}, {"resource", a.Resource},
	} {
		if p.value == "" {
			return ARN{}, fmt.Errorf("task: %q is not an ARN: its %s is empty", s, p.name)
		}
	}
	return a, nil
}

// String returns the ARN as text. ParseARN of it gives a again.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// PartitionOf returns the partition a region lies in: aws-cn for cn-…,
// aws-us-gov for us-gov-…, the isolated partitions for us-iso…, else aws.
func PartitionOf(region string) string {
	for _, p := range []struct{ prefix, partition string }{
		{"cn-", "aws-cn"},
		{"us-gov-", "aws-us-gov"},
		{"us-isob-", "aws-iso-b"},
		{"us-isof-", "aws-iso-f"},
		{"eu-isoe-", "aws-iso-e"},
		{"us-iso-", "aws-iso"},
		{"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.partition
		}
	}
	return "aws"
}
