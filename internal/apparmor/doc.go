// Package apparmor is the AppArmor profile of containers: its text, and how the kernel gets and loses it. What the profile
// forbids is forbidden elsewhere, too, by capabilities, seccomp, masks and read-only mounts. It is what holds when one of those
// is got around, or when a definition asks for a capability that would undo them.
package apparmor
