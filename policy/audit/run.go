package audit

// writeInBackground writes until Close, which waits for it.
func (f *File) writeInBackground() { go f.write() }
