// Package cloud runs the real binary on what there is elsewhere in place of a folder: documents in an S3 bucket, whose server is
// versitygw, on a web site, and behind an API. All of it is on the loopback interface.
package cloud
