package simulate

// family says which fields an event type's event_data has.
type family uint8

const (
	other family = iota
	video
	videoGIF
	caption
	translation
	personalized
	agent
	render
	clipping
	batch
	avatar
	photoAvatar
	proofread
	live
)

// kind is one event type: how it reads, what it carries and how often it happens.
type kind struct {
	name   string
	about  string
	family family
	weight int // relative frequency
	failed bool
}

// The two types that follow a finished video some events later and bear its entity, so that
// one entity has several events and their order can be judged.
const (
	baseType    = "avatar_video.success"
	gifType     = "avatar_video_gif.success"
	captionType = "avatar_video_caption.success"
)

// catalogue lists the event types that HeyGen had published by July 2026.
func catalogue() []kind {
	return []kind{
		{baseType, "An avatar video is ready.", video, 400, false},
		{"avatar_video.fail", "An avatar video could not be made.", video, 40, true},
		{gifType, "The GIF of an avatar video is ready.", videoGIF, 20, false},
		{"avatar_video_gif.fail", "The GIF of an avatar video could not be made.", videoGIF, 4, true},
		{captionType, "The captions of an avatar video are ready.", caption, 20, false},
		{"avatar_video_caption.fail", "The captions of an avatar video could not be made.", caption, 4, true},
		{"video_translate.success", "A translated video is ready.", translation, 80, false},
		{"video_translate.fail", "A video could not be translated.", translation, 10, true},
		{"video_translate.preflight.validation_failed", "A video to translate was not valid.", translation, 4, true},
		{"video_translate.preflight.download_failed", "A video to translate could not be fetched.", translation, 4, true},
		{"video_agent.success", "A Video Agent session ended with a video.", agent, 60, false},
		{"video_agent.fail", "A Video Agent session failed.", agent, 8, true},
		{"personalized_video", "A personalized video changed.", personalized, 30, false},
		{"hyperframes_video.success", "A HyperFrames render is ready.", render, 30, false},
		{"hyperframes_video.fail", "A HyperFrames render failed.", render, 4, true},
		{"ai_clipping.success", "The clips of a video are ready.", clipping, 20, false},
		{"ai_clipping.fail", "A video could not be cut into clips.", clipping, 4, true},
		{"batch.finished", "Every job of a batch has ended.", batch, 10, false},
		{"instant_avatar.success", "An instant avatar is ready.", avatar, 8, false},
		{"instant_avatar.fail", "An instant avatar could not be made.", avatar, 2, true},
		{"photo_avatar_generation.success", "A photo avatar is ready.", photoAvatar, 8, false},
		{"photo_avatar_generation.fail", "A photo avatar could not be made.", photoAvatar, 2, true},
		{"photo_avatar_train.success", "A photo avatar is trained.", photoAvatar, 6, false},
		{"photo_avatar_train.fail", "A photo avatar could not be trained.", photoAvatar, 2, true},
		{"photo_avatar_add_motion.success", "A photo avatar has its motion.", photoAvatar, 6, false},
		{"photo_avatar_add_motion.fail", "A photo avatar got no motion.", photoAvatar, 2, true},
		{"proofread_creation.success", "A proofread is ready.", proofread, 6, false},
		{"proofread_creation.fail", "A proofread could not be made.", proofread, 2, true},
		{"live_avatar.success", "A live avatar session ended well.", live, 6, false},
		{"live_avatar.fail", "A live avatar session failed.", live, 2, true},
	}
}

// kindsFor returns the kinds named, in that order, or the whole catalogue when none is. A name
// outside the catalogue is a type of its own with a plain payload: HeyGen's list grows, and
// tests want to see what happens then.
func kindsFor(names []string) []kind {
	all := catalogue()
	if len(names) == 0 {
		return all
	}
	picked := make([]kind, 0, len(names))
	for _, name := range names {
		picked = append(picked, kindNamed(all, name))
	}
	return picked
}

func kindNamed(kinds []kind, name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return kind{name: name, about: "An event type of this simulation only.", family: other, weight: 20}
}
