package network

// As returns the first fabric that is a T, an optional interface such as [FlowCounter], of f and those that it is made of: a
// fabric over another one has a method Unwrap that returns that. ok is false if there is none.
func As[T any](f Fabric) (t T, ok bool) {
	for f != nil {
		if t, ok := f.(T); ok {
			return t, true
		}
		over, wraps := f.(interface{ Unwrap() Fabric })
		if !wraps {
			break
		}
		f = over.Unwrap()
	}
	return t, false
}
