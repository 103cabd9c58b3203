package metadata

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Address is where tasks find the endpoint, on port 80.
const Address = "169.254.170.2"

// EndpointID returns the ID of a container in the paths of versions 4 and 3: the task's ID and ten digits, the form of
// Fargate. It is the same after every restart of the host. It is no secret; the caller's address protects a task.
func EndpointID(taskID, containerName string) string {
	sum := sha256.Sum256([]byte(taskID + "\x00" + containerName))
	return fmt.Sprintf("%s-%010d", taskID, binary.BigEndian.Uint64(sum[:8])%1e10)
}
