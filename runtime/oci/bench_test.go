package oci

import "testing"

func BenchmarkSpec(b *testing.B) {
	b.ReportAllocs()
	c := container(nil)
	for b.Loop() {
		if _, err := Spec(c, sandbox, nginx, options); err != nil {
			b.Fatal(err)
		}
	}
}
