package image

import "errors"

// Errors of this package.
var (
	ErrInvalid = errors.New("image: cannot be made")           // the error says of what and why
	ErrChanged = errors.New("image: file changed meanwhile")   // between the two passes
	ErrCorrupt = errors.New("image: not an archive of images") // from Inspect
)
