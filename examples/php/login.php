<?php
// Login, fresh token, logout. The stream's token is a cookie that goes to /sse only; the worker has
// session-from = jwt.
//     POST user=anna&password=…  logs in        POST  a fresh token        POST logout=1  logs out
// The answer is 204, or 401 if nobody is logged in. Variables of the environment (docs/login.md):
//     PASSWORDS_FILE           {"anna": "what password_hash() gave"}
//     SSECAST_JWT_SECRET_FILE  the workers' jwt-secret-file, one secret as text
//     TOKEN_SECONDS            how long a token is valid; 3600 unless set
function ssecast_token(array $claims, string $secret): string
{
    $base64url = fn(string $bytes) => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    $text = $base64url('{"alg":"HS256","typ":"JWT"}') . '.'
        . $base64url(json_encode($claims, JSON_THROW_ON_ERROR));
    return $text . '.' . $base64url(hash_hmac('sha256', $text, $secret, true));
}

$common = ['path' => '/sse', 'secure' => !empty($_SERVER['HTTPS']), 'httponly' => true,
           'samesite' => 'Strict'];
session_start(['use_strict_mode' => true, 'cookie_httponly' => true, 'cookie_samesite' => 'Strict',
               'cookie_secure' => $common['secure']]);
if (is_string($_POST['user'] ?? null) && is_string($_POST['password'] ?? null)) {
    $known = json_decode(file_get_contents(getenv('PASSWORDS_FILE')), true);
    session_regenerate_id(true); // the id from before the login is worth nothing any more
    $_SESSION = password_verify($_POST['password'], $known[$_POST['user']] ?? '')
        ? ['user_id' => $_POST['user']] : [];
} elseif (isset($_POST['logout'])) {
    $_SESSION = [];
}

// no other method sets a cookie
$user = $_SERVER['REQUEST_METHOD'] === 'POST' ? $_SESSION['user_id'] ?? null : null;
$claims = ['sub' => (string) $user, 'exp' => time() + (int) (getenv('TOKEN_SECONDS') ?: 3600),
           'channels' => ['news']];
$token = $user === null ? ''
    : ssecast_token($claims, rtrim(file_get_contents(getenv('SSECAST_JWT_SECRET_FILE')), "\r\n"));
setcookie('ssecast_token', $token, ['expires' => $user === null ? 1 : 0] + $common);
http_response_code($user === null ? 401 : 204);
