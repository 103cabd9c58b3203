package task

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a definition.
type Problem struct {
	// Path leads to the member, such as containerDefinitions[0].image.
	Path string
	// Reason says what is wrong, in the words of ECS where it has some.
	Reason string
}

// String returns path and reason.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Reason
	}
	return p.Path + ": " + p.Reason
}

// ValidationError lists everything that makes a definition invalid.
type ValidationError struct {
	// Family is the definition's.
	Family string
	// LaunchTypes are those it was validated for.
	LaunchTypes []LaunchType
	// Problems are in the order of the rules; there is at least one.
	Problems []Problem
}

// Error returns all problems, one a line.
func (e *ValidationError) Error() string {
	return fmt.Sprintf("task: definition %q is not valid for %s:", e.Family, joinWords(e.LaunchTypes, "and")) + list(e.Problems)
}

// Validate checks d against every rule that ECS holds a definition for lt to,
// and returns all that are broken in a [*ValidationError]. Members unknown to
// this package are not looked at.
func (d *TaskDefinition) Validate(lt LaunchType) error {
	if problems := d.problems(lt); len(problems) > 0 {
		return &ValidationError{d.Family, []LaunchType{lt}, problems}
	}
	return nil
}

// ValidateRequired checks d the way ECS does when it is registered: for each
// launch type in RequiresCompatibilities, or for EC2 if there is none. What is
// wrong for several launch types is reported once.
func (d *TaskDefinition) ValidateRequired() error {
	types := d.RequiresCompatibilities
	if len(types) == 0 {
		types = []LaunchType{LaunchTypeEC2}
	}
	e := &ValidationError{Family: d.Family, LaunchTypes: types}
	seen := make(map[Problem]bool)
	for _, lt := range types {
		for _, p := range d.problems(lt) {
			if !seen[p] {
				seen[p] = true
				e.Problems = append(e.Problems, p)
			}
		}
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// ValidLaunchTypes returns those of EC2, FARGATE and EXTERNAL that d is valid
// for, and MANAGED_INSTANCES if d requires it. ECS records them as
// Compatibilities when d is registered.
func (d *TaskDefinition) ValidLaunchTypes() []LaunchType {
	var valid []LaunchType
	for _, lt := range []LaunchType{LaunchTypeEC2, LaunchTypeFargate, LaunchTypeExternal, LaunchTypeManagedInstances} {
		if lt == LaunchTypeManagedInstances && !d.Requires(lt) {
			continue
		}
		if len(d.problems(lt)) == 0 {
			valid = append(valid, lt)
		}
	}
	return valid
}

func (d *TaskDefinition) problems(lt LaunchType) []Problem {
	v := newValidator(d, lt)
	for _, rule := range taskRules {
		rule(v)
	}
	for i := range d.Volumes {
		s := &volumeScope{v, &d.Volumes[i], fmt.Sprintf("volumes[%d]", i)}
		for _, rule := range volumeRules {
			rule(s)
		}
	}
	for i := range d.ContainerDefinitions {
		s := &containerScope{v, &d.ContainerDefinitions[i], fmt.Sprintf("containerDefinitions[%d]", i)}
		for _, rule := range containerRules {
			rule(s)
		}
	}
	return v.problems
}

// taskRules, volumeRules and containerRules are all there is to validation. A
// rule looks at one thing and appends what is wrong with it; it may rely on no
// other rule having passed.
var taskRules = []func(*validator){
	(*validator).launchTypes,
	(*validator).family,
	(*validator).documentSize,
	(*validator).roles,
	(*validator).executionRole,
	(*validator).taskSize,
	(*validator).cpuSum,
	(*validator).memorySum,
	(*validator).networkMode,
	(*validator).namespaces,
	(*validator).platform,
	(*validator).ephemeralStorage,
	(*validator).placement,
	(*validator).proxy,
	(*validator).accelerators,
	(*validator).tags,
	(*validator).containers,
	(*validator).environmentFileCount,
	(*validator).portNames,
	(*validator).firelensRouter,
	(*validator).sharedGPUs,
	(*validator).cycles,
	(*validator).launchVolumes,
}

var volumeRules = []func(*volumeScope){
	(*volumeScope).name,
	(*volumeScope).kind,
	(*volumeScope).host,
	(*volumeScope).docker,
	(*volumeScope).efs,
	(*volumeScope).fsx,
	(*volumeScope).s3files,
}

var containerRules = []func(*containerScope){
	(*containerScope).name,
	(*containerScope).image,
	(*containerScope).memory,
	(*containerScope).unsupported,
	(*containerScope).user,
	(*containerScope).timeouts,
	(*containerScope).versionConsistency,
	(*containerScope).credentials,
	(*containerScope).credentialSpecs,
	(*containerScope).environment,
	(*containerScope).environmentFiles,
	(*containerScope).secrets,
	(*containerScope).ports,
	(*containerScope).portRanges,
	(*containerScope).hosts,
	(*containerScope).links,
	(*containerScope).mounts,
	(*containerScope).volumesFrom,
	(*containerScope).dependsOn,
	(*containerScope).healthCheck,
	(*containerScope).restartPolicy,
	(*containerScope).logging,
	(*containerScope).firelens,
	(*containerScope).resources,
	(*containerScope).ulimits,
	(*containerScope).systemControls,
	(*containerScope).securityOptions,
	(*containerScope).capabilities,
	(*containerScope).devices,
	(*containerScope).tmpfs,
	(*containerScope).swap,
}

// validator is one validation: the definition, what it is for, and what was
// found.
type validator struct {
	def      *TaskDefinition
	lt       LaunchType
	fargate  bool // is lt FARGATE
	windows  bool // is the operating system a Windows
	mode     NetworkMode
	size     Size // zero where unset or unreadable
	problems []Problem
}

func newValidator(d *TaskDefinition, lt LaunchType) *validator {
	v := &validator{def: d, lt: lt, fargate: lt == LaunchTypeFargate, windows: d.IsWindows(), mode: d.NetworkMode}
	if v.mode == "" {
		v.mode = NetworkModeBridge
		if v.windows {
			v.mode = NetworkModeDefault
		}
	}
	// An amount that cannot be read is a problem that taskSize reports.
	v.size.CPU, _ = ParseCPU(d.CPU)
	v.size.Memory, _ = ParseMemory(d.Memory)
	return v
}

// bad appends a problem.
func (v *validator) bad(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// containerScope is a validation at one container.
type containerScope struct {
	*validator
	c    *ContainerDefinition
	path string
}

// bad appends a problem of a member of the container.
func (s *containerScope) bad(member, format string, args ...any) {
	s.validator.bad(s.path+"."+member, format, args...)
}

// volumeScope is a validation at one volume.
type volumeScope struct {
	*validator
	vol  *Volume
	path string
}

// bad appends a problem of a member of the volume.
func (s *volumeScope) bad(member, format string, args ...any) {
	s.validator.bad(s.path+"."+member, format, args...)
}

// Texts for what a place does not have.
const (
	notOnFargate = "is not supported on Fargate"
	notOnWindows = "is not supported for Windows containers"
	badName      = "must be 1 to 255 letters, digits, hyphens and underscores, not %q"
)

// joinWords lists words in a sentence: "a, b or c".
func joinWords[T ~string](words []T, conjunction string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" " + conjunction + " ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}

// oneOf returns what to say of a value that should be one of some words.
func oneOf[T ~string](value T, words []T) string {
	if value == "" {
		return "must be " + joinWords(words, "or")
	}
	return fmt.Sprintf("must be %s, not %q", joinWords(words, "or"), value)
}
