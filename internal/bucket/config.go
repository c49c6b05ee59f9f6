package bucket

import (
	"fmt"
	"time"

	"airfield/internal/secret"
)

// Config is the part of airfield.yaml that buckets own.
type Config struct {
	URL string `yaml:"url" json:"url" doc:"Where document bytes are kept: file:PATH; s3://NAME/PREFIX?region=REGION, for other servers than AWS with &endpoint=ADDRESS and &path_style=true; or gs://NAME/PREFIX."`

	AccessKeyID     secret.Value `yaml:"access_key_id" json:"access_key_id" doc:"Of S3: who signs the requests, as env:NAME or file:PATH, where it is not what AWS's own tools find on this machine (environment, profile, role)."`
	SecretAccessKey secret.Value `yaml:"secret_access_key" json:"secret_access_key" doc:"Of S3: the secret of access_key_id, as env:NAME or file:PATH."`
	SessionToken    secret.Value `yaml:"session_token" json:"session_token" doc:"Of S3: the token that goes with temporary keys, as env:NAME or file:PATH."`
	Credentials     secret.Value `yaml:"credentials" json:"credentials" doc:"Of Google Cloud Storage: the key file of a service account, as file:PATH or env:NAME, where it is not what Google's own tools find on this machine."`

	Lifecycle Lifecycle `yaml:"lifecycle" json:"lifecycle" doc:"What Sweep takes away."`
}

// Lifecycle says which old things go. An old version's age counts from the moment a newer one replaced it.
type Lifecycle struct {
	ExpireOldAfter    time.Duration `yaml:"expire_old_after" json:"expire_old_after" doc:"Age, counted from its replacement, at which an old version goes; 0 keeps old versions for ever."`
	KeepVersions      int           `yaml:"keep_versions" json:"keep_versions" doc:"How many of the newest versions of a key stay whatever their age, the latest among them."`
	AbortUploadsAfter time.Duration `yaml:"abort_uploads_after" json:"abort_uploads_after" doc:"Time without a byte after which an unfinished upload is removed."`
}

// Default keeps old versions for 90 days and three of them for ever; the wiring fills in the URL.
func Default() Config {
	return Config{Lifecycle: Lifecycle{ExpireOldAfter: 90 * 24 * time.Hour, KeepVersions: 3, AbortUploadsAfter: 24 * time.Hour}}
}

// Check reports what is wrong or unwise. Whether the URL names a known backend is the wiring's to say.
func (c Config) Check() (warnings []string, err error) {
	l := c.Lifecycle
	switch {
	case l.ExpireOldAfter < 0:
		return nil, fmt.Errorf("lifecycle.expire_old_after: must not be negative")
	case l.KeepVersions < 1:
		return nil, fmt.Errorf("lifecycle.keep_versions: at least 1 (the latest), not %d", l.KeepVersions)
	case l.AbortUploadsAfter < time.Minute:
		return nil, fmt.Errorf("lifecycle.abort_uploads_after: at least 1m, not %s", l.AbortUploadsAfter)
	}
	if l.ExpireOldAfter > 0 && l.ExpireOldAfter < 24*time.Hour && l.KeepVersions == 1 {
		warnings = append(warnings, "lifecycle: a replaced version goes within a day and none is kept: there is no way back from a bad upload")
	}
	if l.ExpireOldAfter == 0 {
		warnings = append(warnings, "lifecycle.expire_old_after is 0: old versions are kept for ever and the bucket only grows")
	}
	return warnings, nil
}

// Expired picks what the lifecycle takes of a key's versions, newest first.
func (l Lifecycle) Expired(versions []Object, now time.Time) (gone []Object) {
	if l.ExpireOldAfter <= 0 {
		return nil
	}
	old := func(since time.Time) bool { return now.Sub(since) >= l.ExpireOldAfter }
	kept := 0
	for i, o := range versions {
		switch {
		case i > 0 && old(versions[i-1].Modified) && (o.Deleted || kept >= l.KeepVersions):
			gone = append(gone, o)
		case !o.Deleted:
			kept++
		}
	}
	// A marker with nothing left behind it hides nothing.
	if kept == 0 && len(versions) > 0 && old(versions[0].Modified) && len(gone) == len(versions)-1 {
		return versions
	}
	return gone
}
