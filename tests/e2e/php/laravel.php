<?php
// A Laravel application of one file, with Laravel's own BroadcastManager, Broadcaster, channels and
// requests.
foreach (['Broadcasting', 'Container', 'Http', 'Support', 'Contracts'] as $part)
    require_once "Illuminate/$part/autoload.php";
require_once __DIR__ . '/ssecast.php';
require_once __DIR__ . '/SsecastBroadcaster.php';

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Container\Container;
use Illuminate\Contracts\Broadcasting\Factory;
use Illuminate\Http\Request;

final class User
{
    public int $id;

    public function __construct(int $id)
    {
        $this->id = $id;
    }

    public function getAuthIdentifier(): int
    {
        return $this->id;
    }
}

$app = Container::setInstance(new Container());
$app->instance('config', [
    'broadcasting.default' => 'ssecast',
    'broadcasting.connections.ssecast' => ['driver' => 'ssecast', 'url' => getenv('SSECAST_URL'),
                                           'secret_file' => getenv('SSECAST_SECRET_FILE')],
]);
$app->instance(Factory::class, new BroadcastManager($app));
\App\Broadcasting\SsecastBroadcaster::register($app);
$broadcast = $app->make(Factory::class);

// routes/channels.php
$broadcast->channel('orders.{id}', fn(User $user, $id): bool => $user->id === (int) $id);
$broadcast->channel('room.{id}', fn(User $user, $id) =>
    $user->id < 100 ? ['id' => $user->id, 'name' => "user $user->id"] : false);

$request = Request::capture();
$id = (int) $request->header('X-Test-User'); // in place of Laravel's login
$request->setUserResolver(fn() => $id ? new User($id) : null);
try {
    if ($request->input('action') === 'auth') {
        $answer = $broadcast->auth($request);
    } else {
        $channels = array_map(
            fn(string $name) => $name === 'private' ? new PrivateChannel('orders.7')
                : ($name === 'presence' ? new PresenceChannel('room.1') : $name),
            (array) $request->input('to'));
        $broadcast->connection()->broadcast($channels, (string) $request->input('event'),
                                            json_decode((string) $request->input('payload'), true));
        $answer = 'published';
    }
} catch (\Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException $e) {
    http_response_code(403);
    $answer = 'denied';
} catch (\Illuminate\Broadcasting\BroadcastException $e) {
    http_response_code(500);
    $answer = $e->getMessage();
}
header('Content-Type: application/json');
echo json_encode($answer);
