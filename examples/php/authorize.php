<?php
// Tells the web server whose stream a request is: the user that the application's own session
// names.
//
// The web server asks this program before it opens a stream; docs/login.md has the configurations.
// Answers:
//     200 with Variable-USER_ID       this user's stream; the worker reads it with
//                                     session-from = env:USER_ID
//     401                             nobody is logged in
//     403                             the user may not read what the page asks for
// The program sees the cookies and the query of the stream's request. Replace the three lines
// marked (*).

if (isset($_COOKIE[session_name()])) {
    // Read and close: a session that stays open makes other requests of the user wait.
    session_start(['read_and_close' => true, 'use_strict_mode' => true, 'use_cookies' => true,
                   'cache_limiter' => '']);
}
header_remove(); // Apache would add a cookie or another header of this answer to the stream's own
$user = $_SESSION['user_id'] ?? null; // (*) where the application's login keeps the user

if (!is_scalar($user) || !preg_match('/^[\w.@-]{1,200}$/D', (string) $user)) {
    http_response_code(401);
    exit;
}

$channels = ['news']; // (*) what every user may read
if (isset($_GET['article'])) { // new EventSource("/sse?article=7")
    $article = is_string($_GET['article']) ? $_GET['article'] : '';
    // (*) whether this user may read it
    if (!in_array($article, $_SESSION['articles'] ?? [], true)) {
        http_response_code(403);
        exit;
    }
    $channels[] = "article:$article";
}

header("Variable-USER_ID: $user");
header('Variable-SSE_CHANNELS: ' . implode(',', $channels)); // channels-from = env:SSE_CHANNELS
