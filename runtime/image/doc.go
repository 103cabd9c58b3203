// Package image makes container images in Go: OCI archives from directories, file systems, single files or the host
// program's own executable, without a registry, a Dockerfile or a daemon.
//
//	img, err := image.Self(image.Config{Ref: "myapp:worker", Command: []string{"worker"}})
//	archive, err := img.Open()
//	defer archive.Close()
//	_, err = driver.ImportImage(ctx, "", archive)
//
// An image is made in two passes over its files, the first for the digests, so that nothing is held in memory or on
// disk; a file that changes in between is an error. The same files give the same digest wherever and whenever the image
// is made: times are zero and everything belongs to root unless a [File] says otherwise. Layers are not compressed, as
// images made in place are rarely sent anywhere, unless Config.Gzip says so.
//
// What it does not do: extended attributes and file capabilities, devices, images of other operating systems than Linux,
// reading images beyond what [Inspect] tells.
//
// Errors are those of the file system, or match [ErrInvalid].
package image
