<?php
// Publish an event over HTTP, with PHP alone:
// SSECAST_URL=https://example.org/sse SSECAST_TOKEN_FILE=token.jwt php publish_http.php [TEXT]

// The id makes it safe to send the event again when no answer came: it is published once.
$event = ["event" => "greeting", "data" => ["from" => "PHP", "text" => $argv[1] ?? "hello"],
          "id" => bin2hex(random_bytes(16)) . "-php"];
$context = stream_context_create(["http" => [
    "method" => "POST",
    "header" => ["Content-Type: application/json", "Authorization: Bearer "
                     . rtrim(explode("\n", file_get_contents(getenv("SSECAST_TOKEN_FILE")), 2)[0])],
    "content" => json_encode($event),
    "ignore_errors" => true, // the body of a refusal says why
    "timeout" => 10,
]]);
// false: no answer
$reply = @file_get_contents(getenv("SSECAST_URL") . "/publish", false, $context);
echo $reply ?: "no answer", "\n";
exit((json_decode($reply ?: "{}")->ok ?? false) ? 0 : 1);
