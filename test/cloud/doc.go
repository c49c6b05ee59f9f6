// Package cloud runs the real binary on what a cloud offers in place of a folder: documents in an S3 bucket. The server is
// versitygw, on the loopback interface.
package cloud
