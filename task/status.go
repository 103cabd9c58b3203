package task

import "fmt"

// Status is a state in the life of a task. Statuses are ordered: a task only
// ever moves to a greater one. The zero Status is no status, and its text is
// empty.
type Status uint8

// The states of a task in the order it goes through them.
const (
	_              Status = iota
	Provisioning          // its network interface and sandbox are made
	Pending               // waiting for resources to run on
	Activating            // images, containers, targets and names are set up
	Running               // every container has started
	Deactivating          // targets and names are taken back, connections drain
	Stopping              // containers are asked to stop, then killed
	Deprovisioning        // sandbox and network interface are released
	Stopped               // over
	Deleted               // about to be forgotten
)

var statusNames = [...]string{
	"", "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING",
	"DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED",
}

// String returns the text of ECS, such as "RUNNING".
func (s Status) String() string { return enumName(statusNames[:], int(s), "Status") }

// ParseStatus returns the Status of an ECS text; it is case-sensitive.
func ParseStatus(text string) (Status, error) {
	i, err := enumValue(statusNames[:], text, "task status")
	return Status(i), err
}

// MarshalText writes the text of ECS; it fails on a value that is no Status.
func (s Status) MarshalText() ([]byte, error) {
	if int(s) >= len(statusNames) {
		return nil, fmt.Errorf("task: %s is not a task status", s)
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText reads the text of ECS.
func (s *Status) UnmarshalText(text []byte) (err error) {
	*s, err = ParseStatus(string(text))
	return err
}

// ContainerStatus is a state in the life of a container, ordered like Status.
type ContainerStatus uint8

// The states of a container.
const (
	_ ContainerStatus = iota
	ContainerPending
	ContainerRunning
	ContainerStopped
)

var containerStatusNames = [...]string{"", "PENDING", "RUNNING", "STOPPED"}

// String returns the text of ECS, such as "RUNNING".
func (s ContainerStatus) String() string {
	return enumName(containerStatusNames[:], int(s), "ContainerStatus")
}

// ParseContainerStatus returns the ContainerStatus of an ECS text; it is
// case-sensitive.
func ParseContainerStatus(text string) (ContainerStatus, error) {
	i, err := enumValue(containerStatusNames[:], text, "container status")
	return ContainerStatus(i), err
}

// MarshalText writes the text of ECS; it fails on a value that is no
// ContainerStatus.
func (s ContainerStatus) MarshalText() ([]byte, error) {
	if int(s) >= len(containerStatusNames) {
		return nil, fmt.Errorf("task: %s is not a container status", s)
	}
	return []byte(containerStatusNames[s]), nil
}

// UnmarshalText reads the text of ECS.
func (s *ContainerStatus) UnmarshalText(text []byte) (err error) {
	*s, err = ParseContainerStatus(string(text))
	return err
}

func enumName(names []string, i int, kind string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

func enumValue(names []string, text, kind string) (int, error) {
	for i, name := range names {
		if name == text {
			return i, nil
		}
	}
	return 0, fmt.Errorf("task: %q is not a %s (%v)", text, kind, names[1:])
}
