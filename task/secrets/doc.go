// Package secrets finds what a task definition only names: the values of secrets and secretOptions, the credentials of
// private registries, and the variables of environmentFiles.
//
// A [Provider] stands for Secrets Manager and the SSM parameter store, an [ObjectStore] for S3. Ready are [Directory] and
// [Environment] for the first and [Buckets] for the second:
//
//	local.Open(ctx, local.Config{
//		Dir:              dir,
//		Secrets:          secrets.Directory{Dir: "/etc/app/secrets"},
//		EnvironmentFiles: secrets.Buckets{Dir: "/etc/app/buckets"},
//	})
//
// Values are had once, before the first container of a task starts; that a secret changes later does not reach a running
// task (ECS). They are never stored: after a restart of the host program a provider is asked again when a value is
// needed. No error of this package holds one, and none of a provider's should, for it becomes the task's stopped reason.
package secrets
