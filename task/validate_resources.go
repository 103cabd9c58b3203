package task

import (
	"fmt"
	"slices"
	"strconv"
)

var resourceTypes = []ResourceType{ResourceGPU, ResourceNeuronDevice, ResourceInferenceAccelerator}

func (s *containerScope) resources() {
	if s.fargate {
		return // unsupported has said so
	}
	for i := range s.c.ResourceRequirements {
		r := &s.c.ResourceRequirements[i]
		member := fmt.Sprintf("resourceRequirements[%d]", i)
		if r.SharingStrategy != nil {
			s.sharing(member, r)
			continue
		}
		switch r.Type {
		case ResourceGPU:
			if n, err := strconv.Atoi(r.Value); r.Value != "ALL" && (err != nil || n < 1) {
				s.bad(member+".value", "must be a number of GPUs or ALL, not %q", r.Value)
			}
		case ResourceNeuronDevice:
			if r.Value != "ALL" {
				s.bad(member+".value", "must be ALL for Neuron devices, not %q", r.Value)
			}
			if s.lt != LaunchTypeManagedInstances {
				s.bad(member+".type", "NeuronDevice is supported on managed instances only")
			}
		case ResourceInferenceAccelerator:
			if !slices.ContainsFunc(s.def.InferenceAccelerators, func(a InferenceAccelerator) bool {
				return a.DeviceName == r.Value && r.Value != ""
			}) {
				s.bad(member+".value", "must be the deviceName of one of the inferenceAccelerators, not %q", r.Value)
			}
		default:
			s.bad(member+".type", "%s", oneOf(r.Type, resourceTypes))
		}
	}
}

// sharing checks a requirement of a part of a GPU.
func (s *containerScope) sharing(member string, r *ResourceRequirement) {
	if r.Type != ResourceGPU {
		s.bad(member+".sharingStrategy", "is supported for type GPU only")
	}
	if r.Value != "" {
		s.bad(member+".sharingStrategy", "cannot be set together with value")
	}
	if s.lt == LaunchTypeExternal {
		s.bad(member+".sharingStrategy", "is not supported on external instances")
	}
	mps := r.SharingStrategy.NvidiaMPS
	if mps == nil {
		s.bad(member+".sharingStrategy", "must have nvidiaMps")
		return
	}
	if mps.Memory < 1 {
		s.bad(member+".sharingStrategy.nvidiaMps.memory", "must be a positive number of MiB")
	}
	if p := mps.MaxComputePercent; p < 0 || p > 100 {
		s.bad(member+".sharingStrategy.nvidiaMps.maxComputePercent", "must be 1 to 100, not %d", p)
	}
}

// sharedGPUs wants all containers to have whole GPUs, or all to share one, and
// one container at most to have Neuron devices.
func (v *validator) sharedGPUs() {
	var whole, shared, neuron int
	for i := range v.def.ContainerDefinitions {
		for _, r := range v.def.ContainerDefinitions[i].ResourceRequirements {
			switch {
			case r.Type == ResourceNeuronDevice:
				neuron++
			case r.Type == ResourceGPU && r.SharingStrategy != nil:
				shared++
			case r.Type == ResourceGPU:
				whole++
			}
		}
	}
	if whole > 0 && shared > 0 {
		v.bad("containerDefinitions", "the containers that require GPUs must all use value, or all sharingStrategy")
	}
	if neuron > 1 {
		v.bad("containerDefinitions", "one container can require Neuron devices, not %d", neuron)
	}
}
