//! Who is behind a request to the tap URL, as far as its headers tell.
//!
//! A short list of marks rather than a database of browsers: crawlers name themselves with words such as
//! `bot`, and previews are made by few services. What is not recognised counts as a person.

use http::{HeaderMap, Method, header::USER_AGENT};

use super::model::TapClass;

/// Services that fetch a link in order to show what is behind it.
const PREVIEWS: &[&str] = &[
    "facebookexternalhit",
    "facebot",
    "meta-externalfetcher",
    "whatsapp/",
    "twitterbot",
    "slackbot-linkexpanding",
    "slack-imgproxy",
    "telegrambot",
    "discordbot",
    "linkedinbot",
    "skypeuripreview",
    "microsoftpreview",
    "msteams",
    "viber",
    "redditbot",
    "pinterestbot",
    "embedly",
    "iframely",
    "mastodon/",
    "pleroma",
    "bluesky",
    "cardyb",
    "vkshare",
    "google-pagerenderer",
    "snap url preview",
    "line-poker",
    "kakaotalk-scrap",
    "bitlybot",
    "outbrain",
    "flipboardproxy",
    "apple-mediaservices",
    "linkpreview",
    "link preview",
    "urlpreview",
];
/// Words by which programs name themselves.
const BOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "monitor",
    "headless",
    "lighthouse",
    "pingdom",
    "uptime",
    "feedfetcher",
    "mediapartners",
    "google-inspectiontool",
    "googleother",
    "google-extended",
    "bingpreview",
    "yandex.com/",
    "gptbot",
    "chatgpt-user",
    "claude-user",
    "perplexity",
    "curl/",
    "wget/",
    "python",
    "go-http-client",
    "java/",
    "apache-httpclient",
    "okhttp",
    "node-fetch",
    "axios/",
    "undici",
    "libwww",
    "ruby",
    "php/",
    "postmanruntime",
    "httpie",
    "reqwest",
    "phantomjs",
    "zgrab",
    "masscan",
    "nmap",
    "nikto",
];
/// Browsers in whose names a word of [`BOTS`] is by chance.
const NOT_BOTS: &[&str] = &["cubot"];

/// Who is behind a request.
#[must_use]
pub fn class(method: &Method, headers: &HeaderMap) -> TapClass {
    let agent = agent(headers);
    let is = |marks: &[&str]| marks.iter().any(|mark| agent.contains(mark));
    // The longer names first: `twitterbot` fetches a preview.
    if is(PREVIEWS) || method == Method::HEAD || is_loaded_ahead(headers) {
        return TapClass::Preview;
    }
    // Every browser says what it is.
    if agent.is_empty() || (is(BOTS) && !is(NOT_BOTS)) {
        return TapClass::Bot;
    }
    TapClass::Human
}

/// What the tag was tapped with.
#[must_use]
pub fn device(headers: &HeaderMap) -> &'static str {
    let agent = agent(headers);
    let is = |mark: &str| agent.contains(mark);
    if is("iphone") || is("ipad") || is("ipod") {
        "ios"
    } else if is("android") {
        "android"
    } else if is("windows") || is("macintosh") || is("x11") || is("cros") {
        "desktop"
    } else {
        "other"
    }
}

/// A browser that loads a page before anybody asks for it.
fn is_loaded_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.starts_with("prefetch") || value.starts_with("preview") || value == "instant"
    })
}

/// The start of the user agent in lower case.
fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(&agent[..agent.len().min(512)]).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(agent: &str) -> HeaderMap {
        HeaderMap::from_iter([(USER_AGENT, agent.parse().unwrap())])
    }

    #[test]
    fn people_are_told_from_previews_and_bots() {
        use TapClass::{Bot, Human, Preview};
        let seen = [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                Human,
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                Human,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
                Human,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
                Human,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 350.0",
                Human,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 [FB_IAB/FB4A;FBAV/490.0]",
                Human,
            ),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Preview),
            ("WhatsApp/2.23.20.0", Preview),
            ("Mozilla/5.0 (compatible; Twitterbot/1.0)", Preview),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Preview),
            ("TelegramBot (like TwitterBot)", Preview),
            ("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", Preview),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Bot),
            ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)", Bot),
            ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", Bot),
            ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/131.0.0.0 Safari/537.36", Bot),
            ("curl/8.5.0", Bot),
            ("python-requests/2.32", Bot),
            ("Go-http-client/2.0", Bot),
            ("", Bot),
        ];
        for (agent, expected) in seen {
            assert_eq!(class(&Method::GET, &headers(agent)), expected, "{agent}");
        }
        assert_eq!(class(&Method::GET, &HeaderMap::new()), Bot);
    }

    #[test]
    fn what_is_loaded_ahead_is_a_preview() {
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1";
        assert_eq!(class(&Method::HEAD, &headers(phone)), TapClass::Preview);
        for (name, value) in
            [("sec-purpose", "prefetch;prerender"), ("x-purpose", "preview"), ("x-moz", "prefetch")]
        {
            let mut headers = headers(phone);
            headers.insert(name, value.parse().unwrap());
            assert_eq!(class(&Method::GET, &headers), TapClass::Preview, "{name}");
        }
    }

    #[test]
    fn devices_are_told_apart_roughly() {
        for (agent, expected) in [
            ("(iPhone; CPU", "ios"),
            ("(Linux; Android 15", "android"),
            ("(Windows NT 10.0", "desktop"),
            ("curl", "other"),
        ] {
            assert_eq!(device(&headers(agent)), expected);
        }
    }
}
